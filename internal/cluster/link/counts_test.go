package link

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// TestNothingToRepair: a bus that loses nothing has nothing repaired, however slow the
// peer's handler is: what has arrived and is not handled yet is not sent once more.
func TestNothingToRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := newNodes(t, bus.NewMemory(), 2, Options{SuspectAfter: time.Minute})
		a, b := nodes[0], nodes[1]
		release := make(chan struct{})
		b.hold = func(Peer, []byte) { <-release }
		if _, err := a.say(t.Context(), b.self.Epoch, 10); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if p, _ := a.Peer(b.self.Epoch); p.Repaired != 0 {
			t.Errorf("%d packets are said to have been sent once more", p.Repaired)
		}
		close(release)
		check(t, nodes...)
	})
}

// TestRingBoundsSmallMessages: messages of no bytes fill the ring too, since each takes
// memory of its own.
func TestRingBoundsSmallMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ring = 10_000
		nodes := newNodes(t, bus.NewMemory(), 2, Options{RingBytes: ring, SuspectAfter: time.Minute})
		a, b := nodes[0], nodes[1]
		release := make(chan struct{})
		b.hold = func(Peer, []byte) { <-release }
		for number := uint64(1); number <= ring; number++ {
			if _, err := a.say(t.Context(), b.self.Epoch, 0); err != nil {
				if !errors.Is(err, ErrFull) {
					t.Error(err)
				}
				break
			}
		}
		if most := uint64(ring / keptOverhead); a.said(b.self.Epoch) > most {
			t.Errorf("%d messages were taken: more than %d", a.said(b.self.Epoch), most)
		}
		close(release)
		time.Sleep(time.Second)
		if got := b.got(a.self.Epoch); got.last != a.said(b.self.Epoch) {
			t.Errorf("%d of %d received", got.last, a.said(b.self.Epoch))
		}
		check(t, nodes...)
	})
}
