package publish

import (
	"errors"
	"time"
)

// ErrNotAwaited refuses an answer that nobody awaits, or no longer.
var ErrNotAwaited = errors.New("no answer is awaited, or no longer")

// Delivery is a message for one member.
type Delivery struct {
	ID string // names it in Answer and TooLarge
	*Message
	AnswerAwaited bool
}

// Mailbox is what waits for one member. It is safe for concurrent use. The nil Mailbox is
// that of a member that asked for no topic.
type Mailbox struct {
	topics *Topics
	member Member
	wake   func()

	// Guarded by topics.mu.
	names   []string // of its topics; nil: it takes nothing more
	waiting []waiting
	bytes   int                // of those
	asked   map[string]*asking // whose answers it owes
}

type waiting struct {
	id      string
	message *Message
	began   time.Time
}

// addLocked reports whether there was room.
func (b *Mailbox) addLocked(a *asking, answer bool) bool {
	size := a.message.size()
	if len(b.waiting) > 0 && b.bytes+size > maxWaiting {
		return false
	}
	if answer && (len(b.asked) >= maxAsked || b.topics.asked >= maxAskedInAll) {
		return false
	}
	b.waiting = append(b.waiting, waiting{a.id, a.message, a.began})
	b.bytes += size
	b.wake()
	return true
}

// settleLocked notes that the member owes this answer no more.
func (b *Mailbox) settleLocked(a *asking) {
	delete(b.asked, a.id)
	delete(a.waiting, b)
	b.topics.asked--
	if len(a.waiting) == 0 && a.timer != nil {
		a.timer.Stop()
	}
}

// Next takes the next message out; false: there is none. One whose answer was awaited, and is
// no longer, comes all the same.
func (b *Mailbox) Next() (Delivery, bool) {
	if b == nil {
		return Delivery{}, false
	}
	w, awaited, ok := b.take()
	if !ok {
		return Delivery{}, false
	}
	if !awaited {
		b.topics.traced(Handed{Member: b.member, Message: w.message, Began: w.began})
	}
	return Delivery{w.id, w.message, awaited}, true
}

func (b *Mailbox) take() (w waiting, awaited, ok bool) {
	b.topics.mu.Lock()
	defer b.topics.mu.Unlock()
	if len(b.waiting) == 0 {
		return w, false, false
	}
	w = b.waiting[0]
	b.waiting[0] = waiting{}
	if b.waiting = b.waiting[1:]; len(b.waiting) == 0 {
		b.waiting = nil
	}
	b.bytes -= w.message.size()
	return w, b.asked[w.id] != nil, true
}

// Answer answers a message; the first answer counts. Error: [ErrNotAwaited].
func (b *Mailbox) Answer(id string, args []byte, attachments [][]byte) error {
	if b == nil || !b.tell(id, Outcome{Args: args, Attachments: attachments}) {
		return ErrNotAwaited
	}
	b.topics.answered.Add(1)
	return nil
}

// TooLarge says of a message that was taken out that it was too large to be told.
func (b *Mailbox) TooLarge(id string) {
	b.topics.dropped.Add(1)
	b.tell(id, Outcome{Reason: TooLarge})
}

// tell tells whoever awaits the answer what became of it; false: nobody does.
func (b *Mailbox) tell(id string, o Outcome) bool {
	b.topics.mu.Lock()
	a := b.asked[id]
	if a != nil {
		b.settleLocked(a)
	}
	b.topics.mu.Unlock()
	if a == nil {
		return false
	}
	o.Member = b.member
	a.told(o)
	if o.Reason == Answered {
		b.topics.traced(Handed{Member: b.member, Message: a.message, Began: a.began, Answered: true})
	}
	return true
}

// Drain drops what waits, and lets nothing more in. What was taken out may still be
// answered.
func (b *Mailbox) Drain() { b.end(false) }

// Close is Drain, and ends the waiting for the member's answers.
func (b *Mailbox) Close() { b.end(true) }

// end lets nothing more in, and tells of the member's end those who await an answer to what
// waits, or to all that the member owes one.
func (b *Mailbox) end(all bool) {
	if b == nil {
		return
	}
	for _, tell := range b.takeAll(all) {
		tell(Outcome{Member: b.member, Reason: Left})
	}
}

func (b *Mailbox) takeAll(all bool) (told []func(Outcome)) {
	b.topics.mu.Lock()
	defer b.topics.mu.Unlock()
	b.topics.leaveLocked(b)
	for _, w := range b.waiting {
		if a := b.asked[w.id]; a != nil {
			b.settleLocked(a)
			told = append(told, a.told)
		}
	}
	b.topics.dropped.Add(uint64(len(b.waiting)))
	b.waiting, b.bytes = nil, 0
	if all {
		for _, a := range b.asked {
			b.settleLocked(a)
			told = append(told, a.told)
		}
	}
	return told
}
