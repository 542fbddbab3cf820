package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// chaosRecord is what the workers of one group were given and what they settled,
// and checks what it is told. It is the only one to know it all: workers die.
type chaosRecord struct {
	group string

	mu          sync.Mutex
	connections map[string]*chaosConnection
	deliveries  int
	repeated    int
	faults      []string
	notes       []string // about what is missing
}

// chaosConnection is what came of one connection.
type chaosConnection struct {
	events []chaosEvent // by sequence, from 1 on
	last   uint64       // the sequence of its end; 0: not told yet
	reason string       // of that
	passed []passing    // in question
}

// passing is an event that came again, or was acked, before an earlier one that was
// neither settled nor in flight to the same worker. That must not be, unless the ack
// was rejected, the earlier one became a dead letter, or a stream that ended had
// settled it.
type passing struct {
	worker      *chaosWorker // that acked; nil: it came again
	earlier, by uint64
	at          time.Time
}

// rejection is how long it takes at most until an ack is rejected: what a worker
// acked so shortly before it last read proves nothing.
const rejection = 2 * time.Second

// chaosEvent is what became of one event.
type chaosEvent struct {
	attempts uint64       // a bit for each that was seen
	most     uint32       // the highest
	worker   *chaosWorker // that had it then; nil: and gave it back
	order    int          // among all deliveries, of that one
	nacked   bool         // ever
	acks     int          // that were sent, by streams that go on or have confirmed them
	rejected int          // of those

	// The stream that had it last has ended, and did not confirm the ack: the daemon
	// may have read that, or it comes again.
	ambiguous bool
}

func (e *chaosEvent) settled() bool { return e.acks > e.rejected }

func newChaosRecord(group string) *chaosRecord {
	return &chaosRecord{group: group, connections: map[string]*chaosConnection{}}
}

// faultLocked notes what must not be.
func (r *chaosRecord) faultLocked(format string, args ...any) {
	if len(r.faults) < 20 {
		r.faults = append(r.faults, r.group+": "+fmt.Sprintf(format, args...))
	}
}

// connection returns what came of a connection.
func (r *chaosRecord) connectionLocked(id string) *chaosConnection {
	c := r.connections[id]
	if c == nil {
		c = &chaosConnection{}
		r.connections[id] = c
	}
	return c
}

// event returns what became of an event so far.
func (c *chaosConnection) event(sequence uint64) *chaosEvent {
	for uint64(len(c.events)) < sequence {
		c.events = append(c.events, chaosEvent{})
	}
	return &c.events[sequence-1]
}

// deliver notes that w was given e; false if w is dead, and nobody has it.
func (r *chaosRecord) deliver(w *chaosWorker, e *fanoutv1.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.dead {
		return false
	}
	r.deliveries++
	id, sequence := e.GetConnectionId(), e.GetSequence()
	c := r.connectionLocked(id)
	first := uint64(len(c.events)) < sequence
	expected := uint64(len(c.events)) + 1
	ev := c.event(sequence)
	switch attempt := e.GetAttempt(); {
	case ev.attempts>>attempt&1 == 1:
		r.faultLocked("%s: event %d came twice as attempt %d", id, sequence, attempt)
	case ev.attempts == 0 && !first:
		r.faultLocked("%s: event %d came after later ones", id, sequence)
	case attempt > ev.most:
		if attempt > 1 {
			r.repeated++
			c.checkRepeated(w, sequence)
		}
		ev.most, ev.worker, ev.order, ev.ambiguous = attempt, w, r.deliveries, false
	case ev.worker == w:
		r.faultLocked("%s: event %d came to one worker as attempt %d after %d", id, sequence, attempt, ev.most)
	}
	ev.attempts |= 1 << e.GetAttempt()
	switch e.GetKind() {
	case fanoutv1.Event_DISCONNECTED:
		c.last, c.reason = sequence, e.GetReason()
	case fanoutv1.Event_MESSAGE:
		var args []any
		if err := json.Unmarshal([]byte(e.GetArgsJson()), &args); err != nil || len(args) == 0 || args[0] != float64(sequence-1) {
			r.faultLocked("%s: event %d has the arguments %.40s", id, sequence, e.GetArgsJson())
		}
		if first && sequence != expected {
			r.faultLocked("%s: event %d came after %d", id, sequence, expected-1)
		}
	}
	return true
}

// checkRepeated checks what comes to w again, and that w did not give back itself:
// what it gave back before that has to come again first.
func (c *chaosConnection) checkRepeated(w *chaosWorker, sequence uint64) {
	ev := &c.events[sequence-1]
	if sequence == 1 || ev.worker != w || ev.nacked {
		return
	}
	earlier := &c.events[sequence-2]
	if earlier.nacked && earlier.worker == nil && !earlier.settled() && earlier.order < ev.order {
		c.passed = append(c.passed, passing{earlier: sequence - 1, by: sequence, at: time.Now()})
	}
}

// nacked notes that w gives an event back.
func (r *chaosRecord) nacked(w *chaosWorker, e *fanoutv1.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.dead {
		return
	}
	ev := r.connectionLocked(e.GetConnectionId()).event(e.GetSequence())
	ev.nacked = true
	if ev.worker == w {
		ev.worker = nil
	}
}

// acked notes that w sends an ack in a batch; false if w is dead, and must not.
func (r *chaosRecord) acked(w *chaosWorker, e *fanoutv1.Event, batch string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.dead {
		return false
	}
	c := r.connectionLocked(e.GetConnectionId())
	c.event(e.GetSequence()).acks++
	w.unconfirmed = append(w.unconfirmed, chaosAck{e, batch})
	for p := e.GetSequence() - 1; p > 0; p-- {
		ev := &c.events[p-1]
		if ev.attempts == 0 {
			continue // never delivered: counted at the end
		}
		if !ev.settled() && ev.worker != nil && ev.worker != w {
			c.passed = append(c.passed, passing{w, p, e.GetSequence(), time.Now()})
		}
		break
	}
	return true
}

// confirmed notes that the daemon has read w's acks up to those of a batch.
func (r *chaosRecord) confirmed(w *chaosWorker, batch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(w.unconfirmed); i > 0; i-- {
		if w.unconfirmed[i-1].batch == batch {
			w.unconfirmed = slices.Delete(w.unconfirmed, 0, i)
			return
		}
	}
}

// rejected notes that an ack of w was not carried out.
func (r *chaosRecord) rejected(w *chaosWorker, e *fanoutv1.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.dead {
		return // no ack of it counts that it did not know to be carried out
	}
	if i := slices.IndexFunc(w.unconfirmed, func(a chaosAck) bool { return a.event.GetDeliveryId() == e.GetDeliveryId() }); i >= 0 {
		w.unconfirmed = slices.Delete(w.unconfirmed, i, i+1)
	}
	c := r.connectionLocked(e.GetConnectionId())
	c.event(e.GetSequence()).rejected++
	c.passed = slices.DeleteFunc(c.passed, func(p passing) bool { return p.worker == w && p.by == e.GetSequence() })
}

// heard notes that w has read all that came so far, rejections included.
func (r *chaosRecord) heard(w *chaosWorker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.lastRead = time.Now()
}

// proven reports whether w would know by now that its ack was rejected.
func (p *passing) proven() bool {
	return p.worker == nil || p.at.Add(rejection).Before(p.worker.lastRead)
}

// kill notes that w hears and does nothing any more. Its acks that were not
// confirmed count no longer.
func (r *chaosRecord) kill(w *chaosWorker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.dead = true
	for _, a := range w.unconfirmed {
		ev := r.connectionLocked(a.event.GetConnectionId()).event(a.event.GetSequence())
		ev.acks--
		ev.ambiguous = ev.ambiguous || ev.worker == w
	}
	w.unconfirmed = nil
}

// check checks the whole against what browsers sent and what became a dead letter,
// by connection and sequence, and returns how many events are missing, of how many
// only a stream that has ended may tell, and how many there are.
func (r *chaosRecord) check(browsers []*chaosBrowser, dead map[string]bool) (missing, ambiguous, events int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range browsers {
		c := r.connections[b.id]
		if c == nil || c.last == 0 {
			r.faultLocked("%s: its end was not told", b.id)
			continue
		}
		if accepted := int(c.last) - 2; accepted > b.sent || accepted < b.sent && b.farewell == c.reason {
			r.faultLocked("%s: of %d events that were sent %d came; it left with %q", b.id, b.sent, accepted, c.reason)
		}
		if int(c.last) != len(c.events) {
			r.faultLocked("%s: its end is event %d of %d", b.id, c.last, len(c.events))
		}
		events += len(c.events)
		for i := range c.events {
			sequence := uint64(i + 1)
			switch ev := &c.events[i]; {
			case ev.settled() || dead[deadKey(b.id, sequence)]:
			case ev.ambiguous:
				ambiguous++
			default:
				missing++
				if missing <= 5 {
					r.notes = append(r.notes, fmt.Sprintf("%s: event %d of %d is missing: %+v, %s", b.id, sequence, c.last, c.events[i], c.reason))
				}
			}
		}
		for _, p := range c.passed {
			// Still ambiguous means that it did not come again: it was settled.
			if p.proven() && !dead[deadKey(b.id, p.earlier)] && !c.events[p.earlier-1].ambiguous {
				r.faultLocked("%s: event %d came again or was settled while %d was neither settled nor in flight to the same worker", b.id, p.by, p.earlier)
			}
		}
	}
	if len(r.connections) != len(browsers) {
		r.faultLocked("%d connections were heard of, want %d", len(r.connections), len(browsers))
	}
	return missing, ambiguous, events
}

func deadKey(connection string, sequence uint64) string { return fmt.Sprint(connection, " ", sequence) }
