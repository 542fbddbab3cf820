package cli

import (
	"strings"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// watchConnections shows which connections there are, and what becomes of them.
func (r *run) watchConnections(to *fanoutv1.Target) error {
	silent := map[string]bool{}
	return follow(r, r.registry.Watch, &fanoutv1.WatchRequest{To: to}, func(m *fanoutv1.WatchResponse) error {
		for _, node := range m.GetUnreachable() {
			if !silent[node] {
				silent[node] = true
				r.note("the node %s does not answer: what is at it stands as it was last known", clean(node))
			}
		}
		for _, change := range m.GetChanges() {
			if r.json {
				if err := r.out.object(change); err != nil {
					return err
				}
				continue
			}
			if text := changeLine(change); text != "" {
				if err := r.out.line("%s  %s", time.Now().Format("15:04:05"), text); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// changeLine is a change on one line; empty: it is nothing for people.
func changeLine(change *fanoutv1.WatchResponse_Change) string {
	line := func(what, id string, more ...string) string {
		return strings.TrimRight(pad(what, 8)+"  "+clean(id)+"  "+cut(clean(strings.Join(more, "  ")), maxShownArgs), " ")
	}
	switch {
	case change.GetAdded() != nil:
		return line("there", change.GetAdded().GetConnection().GetId(), briefly(change.GetAdded().GetConnection()))
	case change.GetUpdated() != nil:
		return line("changed", change.GetUpdated().GetConnection().GetId(), briefly(change.GetUpdated().GetConnection()))
	case change.GetRemoved() != nil:
		reason := change.GetRemoved().GetReason()
		if reason == "" {
			reason = "left the target"
		}
		return line("gone", change.GetRemoved().GetId(), reason)
	case change.GetJoined() != nil:
		return line("joined", change.GetJoined().GetId(), change.GetJoined().GetRooms()...)
	case change.GetLeft() != nil:
		return line("left", change.GetLeft().GetId(), change.GetLeft().GetRooms()...)
	case change.GetSynced() != nil:
		return "that is all, from now on changes"
	case change.GetResync() != nil:
		return "all anew " + clean(change.GetResync().GetNode())
	}
	return ""
}

// briefly is what a connection is, in a few words.
func briefly(c *fanoutv1.Connection) string {
	user := "no user"
	if c.GetUserId() != "" {
		user = "user:" + c.GetUserId()
	}
	return strings.Join([]string{user, c.GetTransport(), c.GetNode(), c.GetRemoteAddress(), strings.Join(roomsOf(c), " ")}, "  ")
}
