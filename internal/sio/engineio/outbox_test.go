package engineio

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// wokenWriter counts how often it was woken since it was last given nothing.
type wokenWriter struct {
	name  string
	woken int
}

func (c *wokenWriter) wake()    { c.woken++ }
func (c *wokenWriter) crowded() {}

// naiveOutbox is an outbox as one would write it without a care for speed.
type naiveOutbox struct {
	limit        int
	queue        []queued
	holder, next *wokenWriter
	busy, sealed bool
	last         *Message
	lost         int
}

// queued is one packet: what of it may be dropped for a newer one, and which ping
// it answers.
type queued struct {
	msgs   []*Message
	latest bool
	pong   byte // opcode; 0: none
}

func sizeOf(msgs []*Message) (n int) {
	for _, m := range msgs {
		n += m.size()
	}
	return n
}

func (o *naiveOutbox) bytes() (n int) {
	for _, q := range o.queue {
		n += sizeOf(q.msgs)
	}
	return n
}

// queued are the bytes that wait, without what messages cost beside them.
func (o *naiveOutbox) queued() (n int) {
	for _, q := range o.queue {
		n += sizeOf(q.msgs) - messageCost*len(q.msgs)
	}
	return n
}

func (o *naiveOutbox) latestBytes() (n int) {
	for _, q := range o.queue {
		if q.latest {
			n += sizeOf(q.msgs)
		}
	}
	return n
}

func (o *naiveOutbox) append(q queued) {
	o.queue = append(o.queue, q)
	if o.holder != nil {
		o.busy = true
	}
}

func (o *naiveOutbox) waits() bool { return len(o.queue) > 0 || o.last != nil }

func (o *naiveOutbox) ready() bool { return o.holder != nil && !o.busy && len(o.queue) == 0 }

func (o *naiveOutbox) push(msgs []*Message) error {
	switch {
	case o.sealed:
		return errOutboxClosed
	case o.bytes()+sizeOf(msgs) > o.limit:
		return errOutboxFull
	}
	o.append(queued{msgs: msgs})
	return nil
}

func (o *naiveOutbox) pushVolatile(msgs []*Message) bool {
	switch {
	case o.sealed:
		return false
	case !o.ready() || sizeOf(msgs) > o.limit:
		o.lost++
		return false
	}
	o.append(queued{msgs: msgs})
	return true
}

func (o *naiveOutbox) pushLatest(msgs []*Message) (dropped int, ok bool) {
	n := sizeOf(msgs)
	switch {
	case o.sealed:
		return 0, false
	case o.ready() && n <= o.limit:
		o.append(queued{msgs: msgs})
		return 0, true
	case n > o.limit/latestShare:
		o.lost++
		return 1, false
	}
	for o.latestBytes()+n > o.limit/latestShare {
		i := slices.IndexFunc(o.queue, func(q queued) bool { return q.latest })
		o.queue = slices.Delete(o.queue, i, i+1)
		o.lost++
		dropped++
	}
	if o.bytes()+n > o.limit {
		o.lost++
		return dropped + 1, false
	}
	o.append(queued{msgs: msgs, latest: true})
	return dropped, true
}

func (o *naiveOutbox) pushConflated(msgs []*Message) (replaced bool, err error) {
	if o.sealed {
		return false, errOutboxClosed
	}
	queue := slices.Clone(o.queue)
	for i, q := range slices.Backward(queue) {
		if k := q.msgs[0].keyed; k != nil && k.key == msgs[0].keyed.key {
			queue, replaced = slices.Delete(queue, i, i+1), true
			break
		}
	}
	if (&naiveOutbox{queue: queue}).bytes()+sizeOf(msgs) > o.limit {
		return false, errOutboxFull
	}
	o.queue = queue
	o.append(queued{msgs: msgs})
	return replaced, nil
}

func (o *naiveOutbox) pushPong(m *Message) {
	if o.sealed {
		return
	}
	for i, q := range o.queue {
		if q.pong == m.opcode {
			o.queue[i].msgs = []*Message{m}
			return
		}
	}
	o.append(queued{msgs: []*Message{m}, pong: m.opcode})
}

func (o *naiveOutbox) handOver() {
	o.holder, o.next, o.busy = o.next, nil, false
	o.busy = o.holder != nil && o.waits()
}

func (o *naiveOutbox) attach(c *wokenWriter) {
	if o.busy {
		o.next = c
		return
	}
	o.holder, o.busy = c, o.waits()
}

func (o *naiveOutbox) detach(c *wokenWriter) {
	switch c {
	case o.holder:
		o.handOver()
	case o.next:
		o.next = nil
	}
}

func (o *naiveOutbox) take(c *wokenWriter) (msgs []*Message, last bool) {
	switch {
	case o.holder != c:
		return nil, false
	case o.next != nil:
		o.handOver()
		return nil, false
	case !o.waits():
		o.busy = false
		return nil, o.sealed
	}
	o.busy = true
	if len(o.queue) == 0 {
		msgs, o.last = []*Message{o.last}, nil
		return msgs, false
	}
	for _, q := range o.queue {
		msgs = append(msgs, q.msgs...)
	}
	o.queue = nil
	return msgs, false
}

func (o *naiveOutbox) seal(m *Message, drop bool) {
	if o.sealed {
		return
	}
	if drop {
		o.queue = nil
	}
	o.sealed, o.last = true, m
	o.busy = o.holder != nil
}

// Whatever is asked of an outbox, in whatever order, it does what the naive one
// does, and wakes its writer once until that is given nothing.
func TestOutboxModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		limit := 2000 + r.IntN(20_000)
		real, model := &outbox{limit: limit}, &naiveOutbox{limit: limit}
		writers := []*wokenWriter{{name: "a"}, {name: "b"}, {name: "c"}}
		count := 0
		packet := func() []*Message {
			var msgs []*Message
			for range 1 + r.IntN(3) {
				count++
				msgs = append(msgs, Text(fmt.Appendf(nil, "%d%s", count, make([]byte, r.IntN(400)))))
			}
			return msgs
		}
		keys := 1 + r.IntN(12)
		keyed := func() []*Message {
			m := packet()
			Conflate(fmt.Sprint(r.IntN(keys)), m)
			return m
		}
		var did string
		check := func(ok bool, got, want any) {
			t.Helper()
			if !ok {
				t.Fatalf("seed %d: %s: got %v, want %v", seed, did, got, want)
			}
		}
		for range 200 {
			c := writers[r.IntN(len(writers))]
			switch op := r.IntN(28); {
			case op >= 22:
				did = "pushConflated"
				m := keyed()
				replaced, err := real.pushConflated(m...)
				wantReplaced, wantErr := model.pushConflated(m)
				check(replaced == wantReplaced && errors.Is(err, wantErr), err, wantErr)
			case op < 5:
				did = "push"
				m := packet()
				if r.IntN(8) == 0 { // sent again to a client that has come back
					m = keyed()
				}
				got, want := real.push(m...), model.push(m)
				check(errors.Is(got, want), got, want)
			case op < 7:
				did = "pushVolatile"
				m := packet()
				got, want := real.pushVolatile(m...), model.pushVolatile(m)
				check(got == want, got, want)
			case op < 11:
				did = "pushLatest"
				m := packet()
				dropped, ok := real.pushLatest(m...)
				wantDropped, wantOK := model.pushLatest(m)
				check(dropped == wantDropped && ok == wantOK, dropped, wantDropped)
			case op < 13:
				did = "pushPong"
				m := pongPacket
				if r.IntN(2) == 0 {
					m = rawFrame(wsconn.AppendHeader(nil, wsconn.OpPong, 0))
				}
				real.pushPong(m)
				model.pushPong(m)
			case op < 14:
				did = "attach " + c.name
				real.attach(c)
				model.attach(c)
			case op < 19:
				if c != model.holder { // others ask too
					c = writers[r.IntN(len(writers))]
				}
				did = "take " + c.name
				got, last := real.take(c, nil)
				want, wantLast := model.take(c)
				check(slices.Equal(got, want) && last == wantLast, len(got), len(want))
				if len(got) == 0 {
					c.woken = 0
				}
			case op < 20:
				did = "detach " + c.name
				if c == model.holder {
					c.woken = 0
				}
				real.detach(c)
				model.detach(c)
			case op < 21 && r.IntN(10) == 0:
				did = "seal"
				drop := r.IntN(2) == 0
				real.seal(closePacket, drop)
				model.seal(closePacket, drop)
			}
			check(real.bytes == model.bytes(), real.bytes, model.bytes())
			check(real.queued() == model.queued(), real.queued(), model.queued())
			check(real.dropped() == model.lost, real.dropped(), model.lost)
			check(real.busy == model.busy, real.busy, model.busy)
			check(real.drained() == (model.sealed && !model.waits()), real.drained(), model.sealed)
			for _, c := range writers {
				check(c.woken <= 1, c.woken, 1)
			}
			if h := model.holder; h != nil && model.waits() && !model.busy {
				t.Fatalf("seed %d: %s: %s sleeps while messages wait", seed, did, h.name)
			}
		}
	}
}
