package sio

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// An emitter that emits as fast as it can is held up until browsers that read
// have what came before, however little may wait for them: none of them is slow.
func TestFastEmitter(t *testing.T) {
	const members, emits = 200, 500
	for _, queue := range []int{64 << 10, 256 << 10, 4 << 20} {
		h := newHall(t, engineio.Options{MaxQueue: queue}, members, members)
		o := toRoom(members)
		o.Args = []byte(`["` + strings.Repeat("x", 4<<10) + `"]`)
		for range emits {
			h.apply(t, o)
		}
		if n := h.Stats().Slow; n != 0 {
			t.Errorf("with a queue of %d KiB, %d of %d browsers that read were closed as too slow", queue>>10, n, members)
		}
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
	for n := 0; s.Stats().Slow == 0; n++ {
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
