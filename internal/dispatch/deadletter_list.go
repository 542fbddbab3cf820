package dispatch

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what [Dispatcher.DeadLetters] returns at once, as [Event] sizes are counted.
const (
	// maxListBytes ends a page early: it is to fit into the 4 MiB that gRPC clients take
	// by default, and into a message between nodes.
	maxListBytes = 2 << 20
	// maxListedEvent is the size of an event that is listed whole. With the default
	// max-payload all are.
	maxListedEvent = 3 << 20
	// maxListedName is what is listed of the name of a larger one, in bytes.
	maxListedName = 1024
)

// DeadLetters returns up to limit dead letters, oldest first, beginning behind the
// one whose ID is after, which may be gone; empty: with the first. more says that
// others follow. A page is bounded in bytes too; an event that is larger than 3 MiB comes
// without its arguments and attachments, and its letter says how many bytes are Omitted.
func (d *Dispatcher) DeadLetters(f DeadLetterFilter, after string, limit int) (page []DeadLetter, more bool) {
	page, more = d.deadLetters.list(&f, after, limit, maxListBytes)
	for i := range page {
		page[i].shorten()
	}
	return page, more
}

// list returns a page of at most so many bytes, but one letter at least.
func (s *deadLetters) list(f *DeadLetterFilter, after string, limit, most int) (page []DeadLetter, more bool) {
	var behind uint64
	if digits, ok := strings.CutPrefix(after, s.epoch+"-"); ok {
		behind, _ = strconv.ParseUint(digits, 10, 64) // of another kind: from the first on
	}
	matches := f.matcher()
	s.mu.Lock()
	defer s.mu.Unlock()
	first, _ := slices.BinarySearchFunc(s.letters, behind, func(l DeadLetter, n uint64) int { return cmp.Compare(l.number, n+1) })
	bytes := 0
	for i := range s.letters[first:] {
		l := &s.letters[first+i]
		if !matches(l) {
			continue
		}
		bytes += l.Event.size
		if len(page) == limit || bytes > most && len(page) > 0 {
			return page, true
		}
		page = append(page, *l)
	}
	return page, false
}

// shorten leaves out of a copy of the event what is too much to be listed.
func (l *DeadLetter) shorten() {
	if l.Event.size <= maxListedEvent {
		return
	}
	short := *l.Event
	short.Args, short.Attachments = "", nil
	if len(short.Name) > maxListedName {
		short.Name = strings.ToValidUTF8(short.Name[:maxListedName], "")
	}
	short.measure()
	l.Omitted = l.Event.size - short.size
	l.Event = &short
}
