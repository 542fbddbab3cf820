package history

import (
	"fmt"
	"slices"
)

// judgeKeys judges promise 7: what is done under an idempotency key is done once and
// answered as it was, whichever node is asked; and where it is answered that nothing was
// sent, nothing was.
func (h *History) judgeKeys(found func(string)) {
	byKey := map[string][]*Call{}
	var keys []string
	for _, c := range h.calls {
		if c.Key == "" {
			continue
		}
		if byKey[c.Key] == nil {
			keys = append(keys, c.Key)
		}
		byKey[c.Key] = append(byKey[c.Key], c)
	}
	for _, key := range keys {
		calls := byKey[key]
		var done []*Call // by itself
		refused := 0
		for _, c := range calls {
			switch {
			case c.Refused:
				refused++
			case c.Failed, c.Duplicate:
			default:
				done = append(done, c)
			}
		}
		if len(done) > 1 && !h.excused(calls) {
			found(fmt.Sprintf("7: %s was done %d times", key, len(done)))
		}
		for _, c := range calls {
			if !c.Duplicate {
				continue
			}
			if !slices.ContainsFunc(calls, func(of *Call) bool { return !of.Duplicate && !of.Refused && of.begin < c.end }) {
				found(fmt.Sprintf("7: %s at %s is called a duplicate, of nothing", key, c.Node))
			}
			if len(done) == 1 && (c.Matched != done[0].Matched || c.Forwarded != done[0].Forwarded || c.Partial != done[0].Partial) {
				found(fmt.Sprintf("7: %s was answered %d, %d, %v, and its duplicate %d, %d, %v", key,
					done[0].Matched, done[0].Forwarded, done[0].Partial, c.Matched, c.Forwarded, c.Partial))
			}
		}
		for _, c := range h.connections {
			if refused == len(calls) && c.has[calls[0].Event] > 0 {
				found(fmt.Sprintf("7: %s received %s, of which every answer says that it was not sent", c.ID, calls[0].Event))
			}
		}
	}
}

// excused reports whether a node died during the calls of a key, so that what they did
// may have been done twice.
func (h *History) excused(calls []*Call) bool {
	if len(calls) == 0 || calls[0].Key == "" {
		return false
	}
	first, last := never, moment(0)
	for _, c := range calls {
		first, last = min(first, c.begin), max(last, c.end)
	}
	return slices.ContainsFunc(h.deaths, func(at moment) bool { return first < at && at < last })
}
