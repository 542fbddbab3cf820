package logwriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func note(lines uint64) []byte { return fmt.Appendf(nil, "%d left out\n", lines) }

// sink takes lines while it is not told otherwise. It is safe for concurrent use.
type sink struct {
	mu    sync.Mutex
	text  bytes.Buffer
	room  int           // bytes that it takes before it fails; negative: any number
	stall chan struct{} // Write waits for its close; nil: it does not
}

var errFull = errors.New("no space left")

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	stall := s.stall
	s.mu.Unlock()
	if stall != nil {
		<-stall
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room >= 0 && len(p) > s.room {
		n, _ := s.text.Write(p[:s.room])
		s.room = 0
		return n, errFull
	}
	if s.room >= 0 {
		s.room -= len(p)
	}
	return s.text.Write(p)
}

func (s *sink) takes(room int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = room
}

func (s *sink) stalls(until chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stall = until
}

func (s *sink) lines() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.text.String(), "\n", ";")
}

// inBubble runs f with a Writer to a sink that takes all.
func inBubble(t *testing.T, limit int, f func(w *Writer, out *sink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		out := &sink{room: -1}
		w := New(out, limit, note)
		f(w, out)
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func say(t *testing.T, w *Writer, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if n, err := w.Write([]byte(line + "\n")); n != len(line)+1 || err != nil {
			t.Errorf("Write(%q) = %d, %v", line, n, err)
		}
	}
}

func want(t *testing.T, w *Writer, out *sink, lines string, lost uint64) {
	t.Helper()
	synctest.Wait()
	if got := out.lines(); got != lines || w.Lost() != lost {
		t.Errorf("wrote %q and lost %d, want %q and %d", got, w.Lost(), lines, lost)
	}
}

// A writer that stalls holds up nobody; what found no room is told of in its place.
func TestStall(t *testing.T) {
	inBubble(t, 9, func(w *Writer, out *sink) {
		say(t, w, "a")
		want(t, w, out, "a;", 0)
		until := make(chan struct{})
		out.stalls(until)
		say(t, w, "b")
		synctest.Wait()                                      // b is on its way
		say(t, w, "c1", "c2", "c3", "lost 1", "x", "lost 2") // x has no room either: lines keep their order
		want(t, w, out, "a;", 3)
		out.stalls(nil)
		close(until)
		want(t, w, out, "a;b;c1;c2;c3;3 left out;", 3)
		say(t, w, "d")
		want(t, w, out, "a;b;c1;c2;c3;3 left out;d;", 3)
	})
}

// A full disk: what is not written is counted, and told of when there is room again; no
// line begins in the middle of another.
func TestFailure(t *testing.T) {
	inBubble(t, 1000, func(w *Writer, out *sink) {
		out.takes(4)
		say(t, w, "a")
		want(t, w, out, "a;", 0)
		say(t, w, "torn")
		want(t, w, out, "a;to", 1)
		say(t, w, "lost")
		want(t, w, out, "a;to", 2)
		out.takes(-1)
		say(t, w, "b")
		want(t, w, out, "a;to;2 left out;b;", 2)
	})
}

func TestCloseWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{room: -1}
		w := New(out, 1000, note)
		say(t, w, "a", "b")
		for range 2 { // it may be called again
			if err := w.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		want(t, w, out, "a;b;", 0)
		say(t, w, "too late")
		want(t, w, out, "a;b;", 1)
	})
}

func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{room: -1, stall: make(chan struct{})}
		w := New(out, 1000, note)
		say(t, w, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v, want its deadline's error", err)
		}
		close(out.stall)
		want(t, w, out, "a;", 0)
	})
}

// Of many at once, each line is written whole and in its writer's order, or counted.
func TestConcurrentWrites(t *testing.T) {
	const writers, each = 8, 2000
	out := &sink{room: -1}
	w := New(out, 4<<10, note)
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for n := range each {
				say(t, w, fmt.Sprintf("%d %d", i, n))
			}
		})
	}
	writing.Wait()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var written, leftOut uint64
	next := map[int]int{}
	for line := range strings.Lines(out.text.String()) {
		var i, n int
		var missing uint64
		if _, err := fmt.Sscanf(line, "%d left out\n", &missing); err == nil {
			leftOut += missing
			continue
		}
		if _, err := fmt.Sscanf(line, "%d %d\n", &i, &n); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if n < next[i] {
			t.Fatalf("line %d of writer %d came after line %d", n, i, next[i]-1)
		}
		next[i] = n + 1
		written++
	}
	if leftOut != w.Lost() || written+leftOut != writers*each {
		t.Errorf("wrote %d, told of %d, and counted %d, of %d", written, leftOut, w.Lost(), writers*each)
	}
}
