package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// within returns the next message, which has to be one that the worker takes.
func (k *worker) within(most int) *fanoutv1.ConsumeResponse {
	k.t.Helper()
	m := k.get()
	if size := proto.Size(m); size > most {
		k.t.Fatalf("a message of %d bytes, want at most %d", size, most)
	}
	return m
}

// However much waits, no message of events exceeds what the worker takes, and
// nothing is left out.
func TestBatchesObeyMaxMessageBytes(t *testing.T) {
	for _, size := range []int{1, 100, 5_000, 33_000, 65_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inWorld(t, dispatch.Options{QueueBytes: 64 << 20}, func(w *world) {
				k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxMessageBytes: minMessageBytes, MaxInFlight: maxInFlight})
				c, _ := w.connect("")
				c.Idle()
				n := min(max(2*minMessageBytes/size, 10), 3000)
				for range n {
					c.Say(`42["n","` + strings.Repeat("x", size) + `"]`)
				}
				for next := uint64(2); next < uint64(n)+2; {
					for _, e := range k.within(minMessageBytes).GetEvents().GetEvents() {
						if e.GetSequence() != next || e.GetAttempt() != 1 {
							t.Fatalf("got event %d, attempt %d, want %d", e.GetSequence(), e.GetAttempt(), next)
						}
						next++
					}
				}
				k.quiet()
				c.Close()
			})
		})
	}
}

// Nor does what takes all of them back; the one that was given back is named last, so
// that nothing which stood behind it is handled meanwhile.
func TestCancelledObeysMaxMessageBytes(t *testing.T) {
	inWorld(t, dispatch.Options{QueueBytes: 64 << 20}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxMessageBytes: minMessageBytes, MaxInFlight: maxInFlight})
		c, _ := w.connect("")
		c.Idle()
		const n = 5000
		for range n {
			c.Say(`42["n"]`)
		}
		var ids []string
		for len(ids) < n {
			for _, e := range k.within(minMessageBytes).GetEvents().GetEvents() {
				ids = append(ids, e.GetDeliveryId())
			}
		}
		k.say(nacking(ids[0]))
		var taken []string
		for len(taken) < n {
			m := k.within(minMessageBytes).GetCancelled()
			if m.GetReason() != fanoutv1.ConsumeResponse_Cancelled_NACKED || len(m.GetDeliveryIds()) == 0 {
				t.Fatalf("got %v, want deliveries taken back", m)
			}
			if slices.Contains(taken, ids[0]) {
				t.Fatal("the one that was given back was not named last")
			}
			taken = append(taken, m.GetDeliveryIds()...)
		}
		slices.Sort(taken)
		slices.Sort(ids)
		if !slices.Equal(taken, ids) {
			t.Error("other deliveries were taken back than those in flight")
		}
		synctest.Wait()
		c.Close()
	})
}
