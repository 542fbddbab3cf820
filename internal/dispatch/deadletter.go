package dispatch

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// DeathReason says why an event became a dead letter.
type DeathReason int

// The reasons: what happened last.
const (
	Nacked   DeathReason = iota + 1 // it was given back too often
	Crashed                         // too many consumers ended while they had it
	AckWait                         // it was not settled within the ack wait, too often
	TooLarge                        // its consumer takes no message of this size
)

func (r DeathReason) String() string {
	return [...]string{"", "nacked", "crashed", "ack wait", "too large"}[r]
}

// DeadLetter is an event that a group gave up.
type DeadLetter struct {
	ID         string // names it among all of the dispatcher
	Group      string
	Event      *Event
	Attempt    uint32 // deliveries
	Reason     DeathReason
	ConsumerID string    // that had it last; empty: nobody
	DeadAt     time.Time // for the last time
	Replaying  bool      // it is on its way again
	Node       string    // that keeps it, if it is another; empty: this one
	Omitted    int       // bytes of the Event that DeadLetters has left out

	number uint64
}

// deadLetters are those of all groups, oldest first, bounded in bytes.
type deadLetters struct {
	epoch string // of the ids: they name nothing after a restart
	bound int    // bytes

	mu      sync.Mutex // a leaf
	letters []DeadLetter
	bytes   int
	last    uint64 // number
	replays uint64
	added   uint64
	dropped uint64 // for want of room
}

func newDeadLetters(bound int, epoch string) *deadLetters {
	if epoch == "" {
		epoch = strings.ToLower(rand.Text()[:6])
	}
	return &deadLetters{epoch: epoch, bound: bound}
}

// add keeps a letter, and forgets the oldest beyond the bound.
func (s *deadLetters) add(l DeadLetter) DeadLetter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	l.number = s.last
	l.ID = fmt.Sprint(s.epoch, "-", l.number)
	s.letters = append(s.letters, l)
	s.bytes += l.Event.size
	s.added++
	for s.bytes > s.bound && len(s.letters) > 0 {
		s.bytes -= s.letters[0].Event.size
		s.letters[0] = DeadLetter{}
		s.letters = s.letters[1:]
		s.dropped++
	}
	return l
}

// findLocked returns the letter that the event replays, nil if it was forgotten.
func (s *deadLetters) findLocked(e *Event) (l *DeadLetter, i int) {
	i, ok := slices.BinarySearchFunc(s.letters, e.letter, func(l DeadLetter, n uint64) int { return cmp.Compare(l.number, n) })
	if !ok {
		return nil, 0
	}
	return &s.letters[i], i
}

// settle forgets the letter that the event replays.
func (s *deadLetters) settle(e *Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, i := s.findLocked(e)
	if l == nil {
		return
	}
	s.bytes -= l.Event.size
	if i == 0 { // most often: the oldest are replayed first
		s.letters[0] = DeadLetter{}
		s.letters = s.letters[1:]
		return
	}
	s.letters = slices.Delete(s.letters, i, i+1)
}

// giveBack notes that the event, which replays a letter, is on its way no longer.
func (s *deadLetters) giveBack(e *Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, _ := s.findLocked(e); l != nil {
		l.Replaying = false
	}
}

// renew is add for the event of a replay that was given up too: its letter stays
// where it was, with what happened this time, which it returns in l. It is false if the letter was
// forgotten meanwhile.
func (s *deadLetters) renew(l *DeadLetter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, _ := s.findLocked(l.Event)
	if old == nil {
		return false
	}
	old.Attempt, old.Reason, old.ConsumerID, old.DeadAt, old.Replaying = l.Attempt, l.Reason, l.ConsumerID, l.DeadAt, false
	*l = *old
	return true
}

// removeFunc forgets the letters that match, and returns how many.
func (s *deadLetters) removeFunc(match func(*DeadLetter) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = slices.DeleteFunc(s.letters, func(l DeadLetter) bool {
		if !match(&l) {
			return false
		}
		s.bytes -= l.Event.size
		n++
		return true
	})
	return n
}

// DeadLetterFilter says which dead letters are meant. Empty fields mean all.
type DeadLetterFilter struct {
	Group, Namespace, Connection string
	IDs                          []string
}

// matcher returns what says whether a letter is meant, in a time that does not grow with
// the IDs: it is asked of every letter, under a lock.
func (f *DeadLetterFilter) matcher() func(*DeadLetter) bool {
	ids := make(map[string]struct{}, len(f.IDs))
	for _, id := range f.IDs {
		ids[id] = struct{}{}
	}
	return func(l *DeadLetter) bool {
		if (f.Group != "" && l.Group != f.Group) || (f.Namespace != "" && l.Event.Namespace != f.Namespace) ||
			(f.Connection != "" && l.Event.ConnectionID != f.Connection) {
			return false
		}
		_, named := ids[l.ID]
		return named || len(ids) == 0
	}
}

// DeleteDeadLetters forgets dead letters, and returns how many.
func (d *Dispatcher) DeleteDeadLetters(f DeadLetterFilter) int {
	return d.deadLetters.removeFunc(f.matcher())
}

// strike notes one more failure of the item.
func (it *item) strike(why DeathReason) { it.strikes, it.lastStrike = it.strikes+1, why }

// buryLocked makes dead letters of the events of the queue that have failed too
// often, none of which is in flight. A Connecting never becomes one: it holds
// secrets, and its time is limited anyway.
func (q *queue) buryLocked() {
	d := q.group.dispatcher
	spent := func(it item) bool { return int(it.strikes) >= d.opts.MaxAttempts && it.event.Kind != Connecting }
	for i := q.sent; i < len(q.items); {
		if it := q.items[i]; spent(it) {
			q.buryItemLocked(i, it.lastStrike)
		} else {
			i++
		}
	}
}

// buryItemLocked makes a dead letter of an item that is not in flight. The queue is
// to be advanced after it.
func (q *queue) buryItemLocked(i int, why DeathReason) {
	it := q.items[i]
	g := q.group
	q.countLocked(-1, -it.event.size)
	q.items = slices.Delete(q.items, i, i+1)
	letter := DeadLetter{Group: g.name, Event: it.event.withoutView(), Attempt: it.attempt, Reason: why, ConsumerID: it.consumer, DeadAt: time.Now()}
	if !it.event.Replayed() {
		g.counts.DeadLetters++
		letter = g.dispatcher.deadLetters.add(letter)
	} else if !g.dispatcher.deadLetters.renew(&letter) {
		g.dropLocked(1) // it was deleted, or had to go, meanwhile
		return
	}
	g.buried = append(g.buried, letter)
}

// report logs the events that were buried since the last call, at a bounded rate.
// No lock is held.
func (g *group) report() {
	g.mu.Lock()
	buried := g.buried
	g.buried = nil
	g.mu.Unlock()
	for _, l := range buried {
		if n, ok := g.deadLetters.Event(); ok {
			g.dispatcher.log.Warn("an event became a dead letter", "group", g.name, "event", l.Event.Name,
				"delivery", l.Event.ID(), "reason", l.Reason.String(), "attempts", l.Attempt, "consumer", l.ConsumerID, "id", l.ID, "dead_letters", n)
		}
	}
}
