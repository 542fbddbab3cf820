package history

import (
	"fmt"
	"slices"
)

// judgeApplied judges promise 3: an APPLIED emit counts exactly, or says partial and
// names who did not answer; an ACCEPTED one tells to how many other nodes it went. It
// judges too that an emit reaches whom it means, and nobody else.
func (h *History) judgeApplied(found func(string)) {
	for _, call := range h.calls {
		if call.Kind != Emit || call.Failed || call.Refused || call.Duplicate || call.end == never {
			continue
		}
		counted, open := 0, 0 // open: connections that ended and may have been sent it
		others := map[string]bool{}
		for _, c := range h.connections {
			received := c.has[call.Event] > 0
			h.judgeTarget(call, c, received, found)
			if c.Node != call.Node && received {
				others[c.Node] = true
			}
			switch {
			case c.Node != call.Node && !call.Applied:
			case received:
				counted++
			case c.since < call.end && c.left < call.end:
				open++
			}
		}
		switch {
		case call.Matched > counted+open:
			found(fmt.Sprintf("3: %s matched %d by its answer, and %d received it", call.Event, call.Matched, counted))
		case call.Matched < counted && !call.Partial:
			found(fmt.Sprintf("3: %s matched only %d by its answer, which is not partial, and %d received it", call.Event, call.Matched, counted))
		}
		if !call.Applied && len(others) > call.Forwarded {
			found(fmt.Sprintf("3: %s went to %d other nodes by its answer, and connections at %d received it", call.Event, call.Forwarded, len(others)))
		}
		if call.Partial != (len(call.Unreachable) > 0) {
			found(fmt.Sprintf("3: %s: partial is %v, and %q are named", call.Event, call.Partial, call.Unreachable))
		}
	}
}

// judgeTarget judges whether the connection is one of those that the call means. Rooms,
// and users who come and go, are judged by promise 2.
func (h *History) judgeTarget(call *Call, c *Connection, received bool, found func(string)) {
	if len(call.Rooms) > 0 || len(call.Users) > 0 && h.logsIn(c) {
		return
	}
	meant := call.All || slices.Contains(call.IDs, c.ID) || c.User != "" && slices.Contains(call.Users, c.User)
	switch {
	case received && !meant:
		found(fmt.Sprintf("3: %s received %s, which is not meant for it", c.ID, call.Event))
	case meant && !received && call.Applied && c.during(call) && !call.names(c.Node) && !slices.Contains(c.Unconfirmed, call.Node):
		found(fmt.Sprintf("3: %s did not receive %s, and %s is not named", c.ID, call.Event, c.Node))
	}
}

// logsIn reports whether the connection may become another user's.
func (h *History) logsIn(c *Connection) bool {
	return slices.ContainsFunc(h.calls, func(call *Call) bool { return call.Kind == Login && slices.Contains(call.IDs, c.ID) })
}
