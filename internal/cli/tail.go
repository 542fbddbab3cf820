package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// kinds are the kinds of events that are shown, as they are typed.
var kinds = map[string]fanoutv1.Event_Kind{
	"connected":        fanoutv1.Event_CONNECTED,
	"message":          fanoutv1.Event_MESSAGE,
	"disconnected":     fanoutv1.Event_DISCONNECTED,
	"recovery-expired": fanoutv1.Event_RECOVERY_EXPIRED,
}

func (a *app) tail() *cobra.Command {
	var namespaces, events, ids, users, only []string
	var limit int
	c := a.command("tail [flags]", "Show what browsers do, as it happens",
		"Shows who connects, what browsers send and who leaves, until Ctrl-C. It holds nobody up: what comes\nfaster than it is read is left out, and counted.",
		`  fanoutd tail
  fanoutd tail --user 42 --kind message
  fanoutd tail --event order --namespace /shop --json`,
		cobra.NoArgs, func(r *run, _ []string) error {
			req := &fanoutv1.TailRequest{Namespaces: namespaces, Events: events, ConnectionIds: ids, Decode: new(bool)}
			for _, word := range only {
				kind, ok := kinds[strings.ToLower(word)]
				if !ok {
					return usagef("--kind %s: there are connected, message, disconnected and recovery-expired", word)
				}
				req.Kinds = append(req.Kinds, kind)
			}
			return r.tailed(req, users, limit)
		})
	flags := c.Flags()
	flags.StringArrayVarP(&namespaces, "namespace", "n", nil, "only this `NAMESPACE`, or a pattern such as /tenant-*; may be repeated (default all)")
	flags.StringArrayVar(&events, "event", nil, "of messages only those of this `NAME`; may be repeated")
	flags.StringArrayVar(&ids, "id", nil, "only the connection with this `ID`; may be repeated")
	flags.StringArrayVar(&users, "user", nil, "only what the connections of this `USER` do; may be repeated")
	flags.StringArrayVar(&only, "kind", nil, "only this `KIND`: connected, message, disconnected or recovery-expired; may be repeated")
	flags.Var((*natural)(&limit), "limit", "end after so `MANY`; 0: never")
	complete(c, "namespace", a.completeNamespaces)
	complete(c, "kind", words("connected", "message", "disconnected", "recovery-expired"))
	return c
}

// tailed shows events until the stream ends, or limit of them have been shown.
func (r *run) tailed(req *fanoutv1.TailRequest, users []string, limit int) error {
	shown, silent := 0, map[string]bool{}
	return follow(r, r.events.Tail, req, func(m *fanoutv1.TailResponse) error {
		if n := m.GetDropped(); n > 0 {
			r.note("%s left out: they came faster than they were read", plural(n, "event"))
		}
		for _, node := range m.GetUnreachable() {
			if !silent[node] {
				silent[node] = true
				r.note("what happens at the node %s is not shown: it does not answer", clean(node))
			}
		}
		e := m.GetEvent()
		if e == nil || len(users) > 0 && !slices.Contains(users, e.GetUserId()) {
			return nil
		}
		if err := r.out.show(e, "%s", eventLine(e)); err != nil {
			return err
		}
		if shown++; shown == limit {
			return io.EOF
		}
		return nil
	})
}

// eventLine is an event on one line: when, what, where, whose, and what it says.
func eventLine(e *fanoutv1.Event) string {
	var says string
	switch e.GetKind() {
	case fanoutv1.Event_MESSAGE:
		says = clean(e.GetEvent()) + "  " + shownArgs(e.GetArgsJson())
		if n := len(e.GetAttachments()); n > 0 {
			says += "  with " + plural(n, "attachment")
		}
	case fanoutv1.Event_CONNECTED:
		says = clean(strings.TrimSpace(e.GetConnection().GetTransport() + " " + e.GetConnection().GetRemoteAddress()))
	default:
		says = clean(e.GetReason())
		if e.GetDetail() != "" {
			says += " (" + clean(e.GetDetail()) + ")"
		}
	}
	user := ""
	if e.GetUserId() != "" {
		user = "user:" + cut(clean(e.GetUserId()), maxCell) + "  "
	}
	return strings.TrimRight(e.GetReceivedAt().AsTime().Local().Format("15:04:05")+"  "+pad(strings.ToLower(e.GetKind().String()), 12)+"  "+
		clean(e.GetNamespace())+"  "+clean(e.GetConnectionId())+"  "+user+says, " ")
}
