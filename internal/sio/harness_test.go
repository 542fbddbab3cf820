package sio

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// recorder is a Backend that writes down what it hears, and answers events
// named "echo" when asked to.
type recorder struct {
	mu     sync.Mutex
	heard  []string
	admit  Admission
	refuse error
	block  chan struct{} // an event named "block" waits for it, or for the socket's end
	// decide decides instead of admit and refuse, if it is set.
	decide func(ctx context.Context, s *Socket) (Admission, error)

	// ended hears of an end before it is noted, if it is set.
	ended func(*Socket, End)

	numbers bool // note the numbers of what happens to a connection
}

// of notes what happens to a socket.
func (r *recorder) of(s *Socket, format string, args ...any) {
	if n := s.Number(); r.numbers {
		format = fmt.Sprint(n, " ") + format
	}
	r.note(format, args...)
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, fmt.Sprintf(format, args...))
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.heard
	r.heard = nil
	return h
}

func (r *recorder) Connecting(ctx context.Context, s *Socket, auth []byte) (Admission, error) {
	r.of(s, "connecting %s %s", s.Namespace(), auth)
	if r.decide != nil {
		return r.decide(ctx, s)
	}
	return r.admit, r.refuse
}
func (r *recorder) Connected(s *Socket) { r.of(s, "connected %s", s.Namespace()) }
func (r *recorder) Event(s *Socket, e Event) {
	switch e.Name {
	case "echo":
		if err := s.Ack(e.AckID, []byte(e.Args), e.Attachments); err != nil {
			r.note("ack: %v", err)
		}
	case "block":
		select {
		case <-r.block:
		case <-s.Done():
		}
	}
	r.of(s, "event %s %s %s %q %v %d", s.Namespace(), e.Name, e.Args, e.Attachments, e.WantsAck, e.AckID)
}
func (r *recorder) Disconnected(s *Socket, end End) {
	if r.ended != nil {
		r.ended(s, end)
	}
	r.of(s, "disconnected %s %s", s.Namespace(), end.Reason)
}
func (r *recorder) RecoveryExpired(c LostConnection) {
	if r.numbers {
		r.note("%d expired %s %s", c.Number, c.Namespace, c.Why)
		return
	}
	r.note("expired %s %s", c.Namespace, c.Why)
}

// world is a server and its network.
type world struct {
	*Server
	t        *testing.T
	backend  *recorder
	listener *wiretest.Listener
}

func inBubble(t *testing.T, opts Options, f func(*world)) {
	t.Helper()
	inBubbleOn(t, wiretest.Listen, opts, f)
}

func inBubbleOn(t *testing.T, listen func() *wiretest.Listener, opts Options, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		backend := &recorder{block: make(chan struct{})}
		opts.Backend = backend
		if opts.Engine.Logger == nil {
			opts.Engine.Logger = slog.New(slog.DiscardHandler)
		}
		s, err := NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		w := &world{Server: s, t: t, backend: backend, listener: listen()}
		hs := &http.Server{Handler: s}
		go hs.Serve(w.listener)
		defer func() { // also after a Fatal
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			hs.Close()
		}()
		f(w)
	})
}

// clearHeard lets things settle and discards what the backend heard so far.
func (w *world) clearHeard() {
	synctest.Wait()
	w.backend.take()
}

func (w *world) connect(namespace string) (*wiretest.WS, string) {
	w.t.Helper()
	return w.listener.Connect(w.t, namespace)
}

// apply applies op and returns how many connections it matched.
func (w *world) apply(op Op) int {
	w.t.Helper()
	r, err := w.Apply(context.Background(), op)
	if err != nil {
		w.t.Fatalf("%T: %v", op, err)
	}
	return r.Matched
}

func to(sel room.Selector) Target { return Target{Namespace: "/", Selector: sel} }

var everybody = to(room.Selector{All: true})

func event(name, args string) Emit {
	return Emit{To: everybody, Event: name, Args: []byte(args)}
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}
