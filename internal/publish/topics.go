package publish

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what a node keeps; the contract states them.
const (
	// maxWaiting bounds what waits for one member, in bytes. A larger message is let in
	// where nothing else waits.
	maxWaiting = 4 << 20
	// maxAsked bounds the answers that one member owes.
	maxAsked = 4096
	// maxAskedInAll bounds those of all members of a node.
	maxAskedInAll = 100_000
)

// Topics are the mailboxes of one node's members. They are safe for concurrent use.
type Topics struct {
	mu        sync.Mutex
	last      uint64                // of the publishes
	mailboxes map[string][]*Mailbox // by topic, in the order in which they came
	asked     int                   // answers that members owe

	handedTo func(Handed) // hears of messages that belong to a trace; nil: nobody does; set before there are any

	awaiting     atomic.Int64 // publications of this node that await answers
	answerBytes  atomic.Int64 // of the answers that these have
	handed       atomic.Uint64
	dropped      atomic.Uint64
	answered     atomic.Uint64
	publications atomic.Uint64
}

// NewTopics returns Topics that nobody asked for.
func NewTopics() *Topics { return &Topics{mailboxes: map[string][]*Mailbox{}} }

// Trace has f hear of each message of a trace that a member has taken out, or answered where
// that is awaited. It is called once, before anything is published; f is called under no lock.
func (t *Topics) Trace(f func(Handed)) { t.handedTo = f }

// traced tells of a message, if that is wanted.
func (t *Topics) traced(h Handed) {
	if t.handedTo != nil && h.Traceparent != "" {
		t.handedTo(h)
	}
}

// Stats counts since the start.
type Stats struct {
	Published uint64 // publishes of callers of this node
	Handed    uint64 // messages that were put into mailboxes here
	Dropped   uint64 // messages that were not, or were never read
	Answered  uint64 // answers of members here
}

// Stats returns the current counts.
func (t *Topics) Stats() Stats {
	return Stats{t.publications.Load(), t.handed.Load(), t.dropped.Load(), t.answered.Load()}
}

// Add adds what was counted at another node.
func (s *Stats) Add(o *Stats) {
	s.Published += o.Published
	s.Handed += o.Handed
	s.Dropped += o.Dropped
	s.Answered += o.Answered
}

// Join adds a mailbox for a member that asks for these topics, each once, and lets nothing
// more into the one that it replaces, which is still to be closed; nil: there is none. wake is
// called when something is put into it, under locks: it must not wait.
func (t *Topics) Join(m Member, topics []string, replaced *Mailbox, wake func()) *Mailbox {
	b := &Mailbox{topics: t, member: m, names: topics, wake: wake, asked: map[string]*asking{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	if replaced != nil {
		t.leaveLocked(replaced)
	}
	for _, name := range topics {
		t.mailboxes[name] = append(t.mailboxes[name], b)
	}
	return b
}

// asking is one publish whose answers are awaited of members here. Topics.mu guards it.
type asking struct {
	id      string
	message *Message
	began   time.Time
	waiting map[*Mailbox]bool
	told    func(Outcome)
	timer   *time.Timer
}

// Deliver puts a message into the mailboxes of those that it is for, and returns who they
// are, and whose had no room. If answers are awaited, told is called once for each of the
// former, at any time, until stop is called: under locks if it is no answer, so then it must
// not wait.
func (t *Topics) Deliver(r *Request, told func(Outcome)) (asked []Member, missing []Outcome, stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	message := &r.Message
	a := &asking{id: strconv.FormatUint(t.last, 10), message: message, began: time.Now(), waiting: map[*Mailbox]bool{}, told: told}
	for _, b := range t.mailboxes[r.Topic] {
		if !r.Means(b.member) {
			continue
		}
		if !b.addLocked(a, r.Timeout > 0) {
			t.dropped.Add(1)
			missing = append(missing, Outcome{Member: b.member, Reason: Full})
			continue
		}
		t.handed.Add(1)
		asked = append(asked, b.member)
		if r.Timeout > 0 {
			a.waiting[b], b.asked[a.id] = true, a
			t.asked++
		}
	}
	if len(a.waiting) > 0 {
		a.timer = time.AfterFunc(r.Timeout, func() {
			for _, m := range t.stop(a) {
				told(Outcome{Member: m, Reason: TimedOut})
			}
		})
	}
	return asked, missing, func() { t.stop(a) }
}

// stop ends the waiting for answers, and returns who owed one.
func (t *Topics) stop(a *asking) (late []Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for b := range a.waiting {
		b.settleLocked(a)
		late = append(late, b.member)
	}
	slices.SortFunc(late, Compare)
	return late
}

// leaveLocked takes the mailbox out of all topics.
func (t *Topics) leaveLocked(b *Mailbox) {
	for _, name := range b.names {
		left := slices.DeleteFunc(t.mailboxes[name], func(o *Mailbox) bool { return o == b })
		if len(left) == 0 {
			delete(t.mailboxes, name)
		} else {
			t.mailboxes[name] = left
		}
	}
	b.names = nil
}
