package engineio

import (
	"errors"
	"slices"
	"sync"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

var (
	// errOutboxFull is what a push beyond the outbox's limit gets.
	errOutboxFull = errors.New("engineio: outbox full")
	// errOutboxClosed is what a push to a closed session gets.
	errOutboxClosed = errors.New("engineio: session closed")
)

// writer is what carries an outbox's messages to the browser.
type writer interface {
	// wake says that messages wait, or that the writer is to hand over: it
	// takes until the outbox gives it nothing. It is called with outbox.mu
	// held, at most once until the writer was given nothing, and only starts
	// or signals the writer.
	wake()
	// crowded says that much has gathered, once for each push from there on. It is called
	// with outbox.mu held, and only notes it.
	crowded()
}

// outbox is a session's queue of outbound messages, bounded in bytes, with one
// writer at a time. A push appends all its messages or none, so that a packet
// and its attachments stay together, and never blocks.
type outbox struct {
	limit int // bytes; immutable

	mu     sync.Mutex
	queue  []*Message
	bytes  int       // of queue
	holder writer    // who is woken; nil: nobody carries just now
	next   writer    // takes over when holder, still busy, is given nothing
	busy   bool      // holder was woken and has not yet been given nothing
	sealed bool      // no push is accepted any more
	lost   uint32    // volatile packets that were dropped
	gaps   int32     // places in queue whose message was dropped: nil
	pongs  [2]int32  // 1 + the places in queue of answers to pings, of WebSocket and of Engine.IO v3; 0: none waits
	last   *Message  // comes after queue, alone; nil: not sealed, or taken
	latest *latest   // which of queue newer ones may push out; nil: none was ever slow to go
	keys   *keyIndex // which of queue newer ones may replace; nil: never more than a few waited for that
}

// latestShare is which part of an outbox's limit pushLatest may use.
const latestShare = 16

// latest are the packets of a queue that may be dropped for newer ones, the
// oldest first.
type latest struct {
	packets []span
	bytes   int
}

// span is one packet, with its attachments, in a queue.
type span struct{ start, messages, bytes int }

// push appends msgs, or returns errOutboxFull or errOutboxClosed and appends nothing.
func (o *outbox) push(msgs ...*Message) error {
	n := 0
	for _, m := range msgs {
		n += m.size()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed {
		return errOutboxClosed
	}
	if o.bytes+n > o.limit {
		return errOutboxFull
	}
	o.appendLocked(n, msgs...)
	return nil
}

// pushVolatile is push for messages that are dropped unless the writer is
// there and idle: what the reference calls a writable transport.
func (o *outbox) pushVolatile(msgs ...*Message) bool {
	n := 0
	for _, m := range msgs {
		n += m.size()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed {
		return false
	}
	if !o.readyLocked() || n > o.limit {
		o.lost++
		return false
	}
	o.appendLocked(n, msgs...)
	return true
}

// readyLocked reports whether the writer is there and idle.
func (o *outbox) readyLocked() bool {
	return o.holder != nil && !o.busy && len(o.queue) == 0
}

// pushLatest is pushVolatile for messages that may wait: a share of the outbox
// is theirs, and when it is used up the oldest of them are dropped for the
// newest. It returns how many packets were dropped, and whether this one was not
// among them.
func (o *outbox) pushLatest(msgs ...*Message) (dropped int, ok bool) {
	n := 0
	for _, m := range msgs {
		n += m.size()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.sealed:
		return 0, false
	case o.readyLocked() && n <= o.limit:
		o.appendLocked(n, msgs...)
		return 0, true
	case n > o.limit/latestShare:
		o.lost++
		return 1, false
	}
	if o.latest == nil {
		o.latest = &latest{}
	}
	for o.latest.bytes+n > o.limit/latestShare {
		o.dropOldestLocked()
		dropped++
	}
	if o.bytes+n > o.limit { // what must not be dropped fills it
		o.lost++
		return dropped + 1, false
	}
	o.latest.packets = append(o.latest.packets, span{len(o.queue), len(msgs), n})
	o.latest.bytes += n
	o.appendLocked(n, msgs...)
	return dropped, true
}

func (o *outbox) dropOldestLocked() {
	l := o.latest
	old := l.packets[0]
	l.packets = slices.Delete(l.packets, 0, 1)
	l.bytes -= old.bytes
	o.dropLocked(old)
	o.lost++
}

// restartLocked begins an empty queue in this space, when what waited was taken or dropped.
func (o *outbox) restartLocked(space []*Message) {
	o.queue, o.bytes, o.gaps, o.pongs = space[:0], 0, 0, [2]int32{}
	if o.latest != nil {
		o.latest.packets, o.latest.bytes = o.latest.packets[:0], 0
	}
	if o.keys != nil && len(o.keys.places) > maxSpare {
		o.keys = nil // a slow moment's
	}
	o.keys.forget()
}

// pushControl appends a packet of the protocol's own, limit or not: there is at
// most one heartbeat on its way.
func (o *outbox) pushControl(m *Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.sealed {
		o.appendLocked(m.size(), m)
	}
}

// pushPong appends the answer to a ping. One that still waits is replaced: the last
// is enough (RFC 6455, 5.5.3), and who pings without reading costs no memory.
func (o *outbox) pushPong(m *Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pong := &o.pongs[0]
	if m.opcode == wsconn.OpText {
		pong = &o.pongs[1]
	}
	switch {
	case o.sealed:
	case *pong > 0:
		o.bytes += m.size() - o.queue[*pong-1].size()
		o.queue[*pong-1] = m
	default:
		*pong = int32(len(o.queue) + 1)
		o.appendLocked(m.size(), m)
	}
}

func (o *outbox) appendLocked(n int, msgs ...*Message) {
	o.queue = append(o.queue, msgs...)
	o.bytes += n
	o.wakeLocked()
	if o.holder != nil && o.bytes > min(maxGathered, o.limit/gatheredShare) {
		o.holder.crowded()
	}
}

func (o *outbox) wakeLocked() {
	if o.holder != nil && !o.busy {
		o.busy = true
		o.holder.wake()
	}
}

// attach makes c the writer: at once, or, while another is busy, as soon as
// that one is given nothing.
func (o *outbox) attach(c writer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy {
		o.next = c
		return
	}
	o.holder = c
	if o.waitsLocked() {
		o.wakeLocked()
	}
}

// waitsLocked reports whether there is something to take.
func (o *outbox) waitsLocked() bool { return len(o.queue) > 0 || o.last != nil }

// take gives the writer everything that waits, but the last message of a sealed
// outbox by itself, and keeps spare, which must be cleared, to queue what comes
// next. It gives nothing when the outbox is empty or another writer takes over;
// then c must stop carrying until it is woken. last says that nothing will ever
// come again.
func (o *outbox) take(c writer, spare []*Message) (msgs []*Message, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.holder != c {
		return nil, false
	}
	if o.next != nil {
		o.handOverLocked()
		return nil, false
	}
	if !o.waitsLocked() {
		o.busy = false
		return nil, o.sealed
	}
	o.busy = true
	if len(o.queue) == 0 {
		msgs = append(spare[:0], o.last)
		o.last = nil
		return msgs, false
	}
	o.closeGapsLocked()
	msgs = o.queue
	o.restartLocked(spare)
	return msgs, false
}

// detach ends c's time as writer.
func (o *outbox) detach(c writer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch c {
	case o.holder:
		o.handOverLocked()
	case o.next:
		o.next = nil
	}
}

func (o *outbox) handOverLocked() {
	o.holder, o.next, o.busy = o.next, nil, false
	if o.waitsLocked() {
		o.wakeLocked()
	}
}

// seal refuses every further push. The last message follows what waits, or, with
// drop, comes in its place. It wakes the writer.
//
// Nothing else is given to a writer along with it, for polls: the stock client
// closes at a close packet as it reads the payload, and hands the events before
// it out only afterwards, to nobody.
func (o *outbox) seal(last *Message, drop bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed {
		return
	}
	if drop {
		clear(o.queue)
		o.restartLocked(o.queue)
	}
	o.sealed, o.last = true, last
	o.wakeLocked()
}

// replaceLast puts another message in the place of the last, and reports false if
// that was taken.
func (o *outbox) replaceLast(m *Message) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		return false
	}
	o.last = m
	return true
}

// empty drops what is left when the session has ended.
func (o *outbox) empty() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sealed, o.last = true, nil
	o.queue, o.bytes, o.gaps, o.pongs, o.latest, o.keys = nil, 0, 0, [2]int32{}, nil, nil
}

// drained reports whether nothing waits and nothing can come any more.
func (o *outbox) drained() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sealed && !o.waitsLocked()
}

// queued returns the bytes that wait.
func (o *outbox) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes - messageCost*(len(o.queue)-int(o.gaps))
}

// dropped returns how many volatile packets were dropped so far.
func (o *outbox) dropped() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int(o.lost)
}
