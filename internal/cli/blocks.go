package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// blockHelp says whom block and unblock are about.
const blockHelp = "\n\nWHO is user:NAME, or address:ADDRESS with an address or a network such as 192.0.2.0/24."

func (a *app) block() *cobra.Command {
	var reason, until string
	var long time.Duration
	c := a.command("block WHO... [flags]", "Throw users or addresses out, and keep them out",
		"Ends all their connections, in every namespace, and refuses new ones until fanoutd unblock, or for a\ntime."+blockHelp,
		"  fanoutd block user:42 --for 1h --reason spam\n  fanoutd block address:192.0.2.7 address:2001:db8::/32",
		cobra.MinimumNArgs(1), func(r *run, words []string) error {
			req := &fanoutv1.BlockRequest{Reason: reason}
			var err error
			if req.Users, req.Addresses, err = blockable(words); err != nil {
				return err
			}
			switch {
			case long != 0 && until != "":
				return usagef("--for and --until do not go together")
			case long < 0:
				return usagef("--for %s: it has to be longer than nothing", long)
			case long > 0:
				req.Until = timestamppb.New(time.Now().Add(long))
			case until != "":
				at, err := time.Parse(time.RFC3339, until)
				if err != nil {
					return usagef("--until %s: write a time such as 2030-01-02T15:04:05Z", until)
				}
				req.Until = timestamppb.New(at)
			}
			answer, err := ask(r, r.registry.Block, req)
			if err != nil {
				return err
			}
			r.partial(answer.GetPartial(), answer.GetUnreachable())
			return r.out.show(answer, "blocked %s; %s ended", names(words), plural(answer.GetAffected(), "connection"))
		})
	c.Flags().DurationVar(&long, "for", 0, "for so `LONG`, such as 90s or 24h (default until it is lifted)")
	c.Flags().StringVar(&until, "until", "", "until this `TIME`, such as 2030-01-02T15:04:05Z")
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for fanoutd blocks and the log; browsers do not hear it")
	c.ValidArgsFunction = a.completeBlockable
	return c
}

func (a *app) unblock() *cobra.Command {
	c := a.command("unblock WHO... [flags]", "Let users or addresses in again",
		"Lifts blocks, at every node."+blockHelp,
		"  fanoutd unblock user:42",
		cobra.MinimumNArgs(1), func(r *run, words []string) error {
			req := &fanoutv1.UnblockRequest{}
			var err error
			if req.Users, req.Addresses, err = blockable(words); err != nil {
				return err
			}
			answer, err := ask(r, r.registry.Unblock, req)
			if err != nil {
				return err
			}
			r.partial(answer.GetPartial(), answer.GetUnreachable())
			if answer.GetAffected() > 0 || r.json {
				if err := r.out.show(answer, "%s lifted", plural(answer.GetAffected(), "block")); err != nil {
					return err
				}
			}
			if answer.GetAffected() == 0 && !answer.GetPartial() {
				return nobodyf("not blocked: %s", names(words))
			}
			return nil
		})
	c.ValidArgsFunction = a.completeBlockable
	return c
}

// blockable divides words into users and addresses.
func blockable(words []string) (users, addresses []string, err error) {
	for _, word := range words {
		kind, name, _ := strings.Cut(word, ":")
		switch {
		case name != "" && kind == "user":
			users = append(users, name)
		case name != "" && kind == "address":
			addresses = append(addresses, name)
		default:
			return nil, nil, usagef("%q: write user:NAME or address:ADDRESS", word)
		}
	}
	return users, addresses, nil
}

func (a *app) blocks() *cobra.Command {
	req := &fanoutv1.ListBlocksRequest{}
	var limit int
	c := a.command("blocks [flags]", "List who is blocked",
		"Lists the users and addresses that are kept out, until when, why and by whom.",
		"  fanoutd blocks\n  fanoutd blocks --address-of 192.0.2.7",
		cobra.NoArgs, func(r *run, _ []string) error {
			t := r.out.table("WHO", "ENDS IN", "SINCE", "BY", "NODE", "REASON")
			l := limited{most: limit}
			err := pages(r, r.registry.ListBlocks, req, func(size int32, token string) { req.PageSize, req.PageToken = size, token },
				func(page *fanoutv1.ListBlocksResponse) (bool, error) {
					for _, b := range page.GetBlocks() {
						if l.full() {
							return true, nil
						}
						who := "user:" + b.GetUserId()
						if b.GetAddress() != "" {
							who = "address:" + b.GetAddress()
						}
						ends := "never"
						if b.GetUntil() != nil {
							ends = until(b.GetUntil())
						}
						if err := t.row(b, who, ends, age(b.GetBlockedAt()), b.GetCaller(), b.GetNode(), b.GetReason()); err != nil {
							return true, err
						}
					}
					return false, nil
				})
			return ended(r, t, &l, err)
		})
	c.Flags().StringVar(&req.UserPrefix, "user", "", "only users whose name begins with this `PREFIX`")
	c.Flags().StringVar(&req.Address, "address-of", "", "only blocks that this `ADDRESS` is in")
	limitFlag(c, &limit)
	return c
}
