package link

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

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
