package history

import "fmt"

// judgeOrder judges promise 1: from one caller to one connection, emits arrive in the
// order of the calls, and none twice. What was called more than once, under a key, has
// no place in that order.
func (h *History) judgeOrder(found func(string)) {
	calls := map[string][]*Call{} // by event
	for _, c := range h.calls {
		if c.Kind == Emit {
			calls[c.Event] = append(calls[c.Event], c)
		}
	}
	for _, c := range h.connections {
		latest := map[string]*Call{} // by caller
		for _, event := range c.received {
			of := calls[event]
			switch {
			case len(of) == 0:
				found(fmt.Sprintf("1: %s received %s, which nobody emitted", c.ID, event))
			case len(of) == 1:
				call := of[0]
				if before := latest[call.Caller]; before != nil && before.begin > call.begin {
					found(fmt.Sprintf("1: %s received %s after %s, of the same caller", c.ID, event, before.Event))
				}
				latest[call.Caller] = call
			}
		}
		for event, times := range c.has {
			if times > 1 && !h.excused(calls[event]) {
				found(fmt.Sprintf("1: %s received %s %d times", c.ID, event, times))
			}
		}
	}
}
