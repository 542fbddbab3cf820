package cli

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// connectionsFlags are the flags of fanoutd connections.
type connectionsFlags struct {
	targetFlags
	filter  connectionFilter
	address string
	limit   int
	count   bool
	by      string
	watch   bool
}

func (a *app) connections() *cobra.Command {
	var f connectionsFlags
	c := a.command("connections [TARGET... | ID] [flags]", "List connections, or show one whole",
		`Lists the connections of the targets, or all of the namespace, oldest first. An ID alone, with id:
in front of it or without, shows all of that one, and what is unusual about it.

WAITING is what waits to be sent to the browser: it grows when the browser reads too slowly.`,
		`  fanoutd connections
  fanoutd connections user:42
  fanoutd connections id:GnHVAZVV2_rQ4DIDAAAA
  fanoutd connections room:news --from 192.0.2.0/24 --slow
  fanoutd connections --count --by node
  fanoutd connections room:news --watch`,
		cobra.ArbitraryArgs, func(r *run, words []string) error {
			if id, one := f.one(words); one {
				return r.connection(f.namespace, id)
			}
			if len(words) == 0 {
				words = []string{"all"}
			}
			to, err := f.target(words...)
			if err != nil {
				return err
			}
			if f.address != "" {
				if f.filter.addresses, err = parsePrefix(f.address); err != nil {
					return err
				}
			}
			switch {
			case f.count && f.watch:
				return usagef("--count and --watch do not go together")
			case (f.count || f.watch) && f.filter != connectionFilter{}:
				return usagef("--count and --watch take targets only, not --from, --node, --transport or --slow")
			case f.count:
				return r.countConnections(to, f.by)
			case f.by != "":
				return usagef("--by goes with --count")
			case f.watch:
				return r.watchConnections(to)
			}
			return r.listConnections(to, &f)
		})
	flags := c.Flags()
	flags.StringVar(&f.address, "from", "", "only those of browsers at this `ADDRESS`, or in this network, such as 192.0.2.0/24")
	flags.StringVar(&f.filter.node, "node", "", "only those at this `NODE`")
	flags.StringVar(&f.filter.transport, "transport", "", "only those by this `TRANSPORT`: polling, websocket or webtransport")
	flags.BoolVar(&f.filter.slow, "slow", false, "only those for which something waits, or something volatile was dropped")
	flags.BoolVar(&f.count, "count", false, "count them instead")
	flags.StringVar(&f.by, "by", "", "count them by `WHAT`: room, node, transport, namespace or user")
	flags.BoolVar(&f.watch, "watch", false, "go on with who comes, changes and goes, until Ctrl-C")
	limitFlag(c, &f.limit)
	complete(c, "node", func(c *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return a.completeNodes(c, nil, begun)
	})
	complete(c, "transport", words("polling", "websocket", "webtransport"))
	complete(c, "by", words("room", "node", "transport", "namespace", "user"))
	f.add(a, c, false)
	c.ValidArgsFunction = a.completeTargets
	return c
}

// one returns the id that stands alone, as the list shows it or as a target: ids may begin
// with what begins flags.
func (f *connectionsFlags) one(words []string) (id string, one bool) {
	narrowed := f.address != "" || f.filter != connectionFilter{} || f.count || f.by != "" || f.watch || len(f.except) > 0
	if len(words) != 1 || narrowed {
		return "", false
	}
	if !isTarget(words[0]) {
		return words[0], true
	}
	id, one = strings.CutPrefix(words[0], "id:")
	return id, one && id != ""
}

// connectionFilter leaves out connections that the daemon has listed.
type connectionFilter struct {
	addresses netip.Prefix // zero: all
	node      string
	transport string
	slow      bool
}

// takes reports whether c is to be shown.
func (f *connectionFilter) takes(c *fanoutv1.Connection) bool {
	switch {
	case f.node != "" && c.GetNode() != f.node:
		return false
	case f.transport != "" && c.GetTransport() != f.transport:
		return false
	case f.slow && c.GetQueuedBytes() == 0 && c.GetVolatileDropped() == 0:
		return false
	case f.addresses.IsValid():
		host, _, _ := net.SplitHostPort(c.GetRemoteAddress())
		at, err := netip.ParseAddr(host)
		return err == nil && f.addresses.Contains(at.Unmap())
	}
	return true
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, error) {
	if at, err := netip.ParseAddr(text); err == nil {
		return at.Unmap().Prefix(at.Unmap().BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, usagef("--from %s: write an address, or a network such as 192.0.2.0/24", text)
	}
	return p, nil
}

func (r *run) listConnections(to *fanoutv1.Target, f *connectionsFlags) error {
	req := &fanoutv1.ListConnectionsRequest{To: to}
	t := r.out.table("ID", "USER", "TRANSPORT", "NODE", "ADDRESS", "SINCE", "WAITING", "ROOMS")
	l := limited{most: f.limit}
	err := pages(r, r.registry.ListConnections, req, func(size int32, token string) { req.PageSize, req.PageToken = size, token },
		func(page *fanoutv1.ListConnectionsResponse) (bool, error) {
			for _, c := range page.GetConnections() {
				if !f.filter.takes(c) {
					continue
				}
				if l.full() {
					return true, nil
				}
				if err := t.row(c, c.GetId(), c.GetUserId(), c.GetTransport(), c.GetNode(), c.GetRemoteAddress(), age(c.GetConnectedAt()),
					size(c.GetQueuedBytes()), strings.Join(roomsOf(c), " ")); err != nil {
					return true, err
				}
			}
			return false, nil
		})
	return ended(r, t, &l, err)
}

// roomsOf are the rooms of a connection without that of its own id.
func roomsOf(c *fanoutv1.Connection) []string {
	return slices.DeleteFunc(slices.Clone(c.GetRooms()), func(room string) bool { return room == c.GetId() })
}

// maxCounts bounds the rows of a count that are shown.
const maxCounts = 1000

func (r *run) countConnections(to *fanoutv1.Target, by string) error {
	group, ok := fanoutv1.CountConnectionsRequest_GroupBy_value[strings.ToUpper(by)]
	if by == "" {
		by = "all"
	} else if !ok || group == 0 {
		return usagef("--by %s: there are room, node, transport, namespace and user", by)
	}
	answer, err := ask(r, r.registry.CountConnections, &fanoutv1.CountConnectionsRequest{To: to, GroupBy: fanoutv1.CountConnectionsRequest_GroupBy(group)})
	if err != nil {
		return err
	}
	r.missed(answer.GetUnreachable())
	if r.json {
		return r.out.object(answer)
	}
	if by == "all" {
		return r.out.line("%d", answer.GetTotal())
	}
	var all []string
	for name := range answer.GetCounts() {
		all = append(all, name)
	}
	slices.SortFunc(all, func(a, b string) int {
		if x, y := answer.GetCounts()[a], answer.GetCounts()[b]; x != y {
			return cmp.Compare(y, x)
		}
		return strings.Compare(a, b)
	})
	t := r.out.table(strings.ToUpper(by), "CONNECTIONS")
	l := limited{most: maxCounts}
	for _, name := range all {
		if l.full() {
			break
		}
		if err := t.row(nil, name, number(answer.GetCounts()[name])); err != nil {
			return err
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	if l.cut {
		r.note("these are the %d largest of %d", maxCounts, len(all))
	}
	return nil
}
