package link

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
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
