package sio

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// A client falls behind volatile events: the policy of its namespace says which
// of them it gets, and it stays connected.
func TestVolatilePolicies(t *testing.T) {
	opts := Options{
		Engine:     engineio.Options{MaxQueue: 16 * 350}, // two of these events are a share of 350 bytes
		Namespaces: []string{"/", "/map-*", "/news"},
		VolatileIn: map[string]VolatilePolicy{"/map-*": DropOldest},
	}
	for namespace, want := range map[string][]int{"/news": {}, "/map-1": {8, 9}} {
		inBubble(t, opts, func(w *world) {
			c, id := w.connect(namespace)
			synctest.Wait()
			everybody := Target{Namespace: namespace, Selector: room.Selector{All: true}}
			// Nobody reads: the transport is busy with this one.
			w.apply(Emit{To: everybody, Event: "first"})
			synctest.Wait()
			for i := range 10 {
				w.apply(Emit{To: everybody, Event: "at", Args: fmt.Appendf(nil, "[%d]", i), Volatile: true})
			}
			at, err := w.Connection(context.Background(), namespace, id)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "dropped", at.VolatileDropped, 10-len(want))
			expect(t, "counted", w.Stats().Engine.Dropped, uint64(10-len(want)))
			w.apply(Emit{To: everybody, Event: "last"})
			expect(t, "first", c.Next(), `42`+namespace+`,["first"]`)
			for _, i := range want {
				expect(t, "event", c.Next(), fmt.Sprintf(`42%s,["at",%d]`, namespace, i))
			}
			expect(t, "last", c.Next(), `42`+namespace+`,["last"]`)
			expect(t, "closed", w.Stats().Engine.Slow, 0)
			c.Close()
		})
	}
}
