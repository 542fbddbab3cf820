package sio

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// An emitter that emits as fast as it can is held up until browsers that read
// have what came before, however little may wait for them: none of them is slow.
func TestFastEmitter(t *testing.T) {
	const members, emits, size = 40, 300, 4 << 10
	takesAll := func() *wiretest.Listener {
		return wiretest.ListenSockets(2*emits*size, func(*wiretest.Socket) {})
	}
	for _, queue := range []int{64 << 10, 256 << 10} { // less than all emits
		inBubbleOn(t, takesAll, Options{Engine: engineio.Options{MaxQueue: queue}}, func(w *world) {
			for range members {
				c, _ := w.connect("")
				defer c.Close()
			}
			synctest.Wait()
			o := event("n", `["`+strings.Repeat("x", size)+`"]`)
			for range emits {
				w.apply(o)
			}
			expect(t, "browsers that were closed as too slow", w.Stats().Engine.Slow, 0)
		})
	}
}

// What waits for a client takes about the memory that the limit says, however
// short the events are.
func TestQueueOfShortEvents(t *testing.T) {
	const limit = 4 << 20
	s, err := NewServer(Options{Engine: engineio.Options{MaxQueue: limit, PingInterval: time.Hour, Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nobody fetches what there is
		_ = s.Shutdown(ctx)
	})
	joinByPolling(t, s) // and polls no more
	before := heapBytes()
	most := int64(0)
	for n := 0; s.Stats().Engine.Slow == 0; n++ {
		if _, err := s.Apply(context.Background(), Emit{To: to(room.Selector{All: true}), Event: "n"}); err != nil {
			t.Fatal(err)
		}
		if n%20_000 == 0 {
			most = max(most, heapBytes()-before)
		}
	}
	t.Logf("%d KiB of heap for a queue of at most %d KiB", most>>10, limit>>10)
	if most > 2*limit {
		t.Errorf("%d KiB of heap for a queue of at most %d KiB", most>>10, limit>>10)
	}
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
