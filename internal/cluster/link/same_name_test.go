package link

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// lockedBuffer is a buffer for a logger.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestSameName: of two nodes with one name the others keep the newer; the older says so
// once in its log and goes on, and costs the others no announcements but the usual ones.
func TestSameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		var mu sync.Mutex
		announced := 0
		memory.SetFaults(func(from, to, subject string, _ []byte) bus.Verdict {
			mu.Lock()
			defer mu.Unlock()
			if from == "a" && to == "a" && strings.HasSuffix(subject, ".announce") {
				announced++
			}
			return bus.Verdict{}
		})
		a := newNode(t, memory, "a", "aaaaa", Options{})
		var text lockedBuffer
		past := &history{node: "past", from: map[string]*received{}}
		older, err := New(memory.Join("b"), Self{Name: "b", Epoch: "bbbb1"}, Options{JoinWait: -1, Logger: slog.New(slog.NewTextHandler(&text, nil))}, past)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var newerText lockedBuffer
		newer := newNode(t, memory, "b", "bbbb2", Options{Logger: slog.New(slog.NewTextHandler(&newerText, nil))})
		time.Sleep(70 * time.Second) // the older one has given up a, and met it anew
		if peers := a.Peers(); len(peers) != 1 || peers[0].Epoch != "bbbb2" || peers[0].State != Alive {
			t.Errorf("peers: %+v", peers)
		}
		mu.Lock()
		announced = 0
		mu.Unlock()
		time.Sleep(30 * time.Second)
		mu.Lock()
		if announced > 3*30 { // one a second of each node, and answers
			t.Errorf("%d announcements in 30 s", announced)
		}
		mu.Unlock()
		if n := strings.Count(text.String(), "another node has this node's name and is newer"); n != 2 { // once a minute
			t.Errorf("the older node says %d times that there is another:\n%s", n, text.String())
		}
		if n := strings.Count(newerText.String(), "another node has this node's name and is older"); n != 2 {
			t.Errorf("the newer node says %d times that there is another:\n%s", n, newerText.String())
		}
		if err := older.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, fault := range past.faults {
			t.Error(fault)
		}
		check(t, a, newer)
	})
}

// TestSameNameWrongClock: a node was killed, and its successor has a clock that was set back,
// so that it seems to be the older one. The others keep it as soon as the one before does not
// answer. If that one comes back after all, they keep the newer, as ever.
func TestSameNameWrongClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		var away atomic.Value // the one node that nobody hears, and that hears nobody
		away.Store("successor")
		memory.SetFaults(func(from, to, _ string, _ []byte) bus.Verdict {
			return bus.Verdict{Drop: from != to && (from == away.Load() || to == away.Load())}
		})
		options := Options{JoinWait: -1, Logger: slog.New(slog.DiscardHandler)}
		join := func(at, name, epoch string) *Mesh {
			m, err := New(memory.Join(at), Self{Name: name, Epoch: epoch}, options, &history{node: at, from: map[string]*received{}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = m.Close(context.Background()) })
			return m
		}
		a := join("a", "a", "aaaaa")
		expect := func(when, epoch string) {
			t.Helper()
			if peers := a.Peers(); len(peers) != 1 || peers[0].Epoch != epoch || peers[0].State != Alive {
				t.Errorf("%s: peers %+v, want %s alone, alive", when, peers, epoch)
			}
		}
		join("successor", "b", "bbbb2") // earlier by the clock, and not heard yet
		time.Sleep(time.Hour)
		join("killed", "b", "bbbb1")
		time.Sleep(5 * time.Second)
		expect("before", "bbbb1")
		away.Store("killed")
		time.Sleep(2 * time.Second)
		if peers := a.Peers(); len(peers) != 1 || peers[0].Epoch != "bbbb1" {
			t.Errorf("before the first one is suspected: peers %+v", peers)
		}
		time.Sleep(6 * time.Second)
		expect("after", "bbbb2")
		away.Store("")
		time.Sleep(70 * time.Second)
		expect("when both are there", "bbbb1")
	})
}
