package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// world is a Socket.IO server with the Dispatcher under test behind it.
type world struct {
	*Dispatcher
	t        *testing.T
	server   *sio.Server
	listener *wiretest.Listener
}

// grants is an admission.Source that lets everybody in.
type grants sio.Admission

// Decide implements admission.Source.
func (g grants) Decide(_ context.Context, _ *admission.Request, sofar sio.Admission) (sio.Admission, error) {
	return admission.Merge(sofar, sio.Admission(g))
}

// inBubble runs f in fake time. Consumers are asked after the sources.
func inBubble(t *testing.T, opts Options, f func(*world), sources ...admission.Source) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if opts.Logger == nil {
			opts.Logger = slog.New(slog.DiscardHandler)
		}
		if opts.Namespaces == nil {
			opts.Namespaces = []string{"/", "/chat"}
		}
		d := New(opts)
		s, err := sio.NewServer(sio.Options{
			Namespaces: opts.Namespaces, Owners: d, ChangeListener: d, Backend: admission.New(d, opts.Logger, append(admission.Sources(sources), d)), RecoveryWindow: time.Minute,
			Engine: engineio.Options{Logger: slog.New(slog.DiscardHandler)},
		})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{Dispatcher: d, t: t, server: s, listener: wiretest.Listen()}
		hs := &http.Server{Handler: s}
		go hs.Serve(w.listener)
		defer func() { // also after a Fatal
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			hs.Close()
			for _, g := range d.all() {
				g.mu.Lock()
				for len(g.subscriptions) > 0 {
					g.subscriptions[0].endLocked(ErrClosed)
				}
				if g.expiry != nil {
					g.expiry.Stop()
				}
				g.mu.Unlock()
			}
		}()
		f(w)
	})
}

func (w *world) subscribe(s SubscriptionOptions) *Subscription {
	w.t.Helper()
	if s.Group == "" {
		s.Group = "g"
	}
	if s.ConsumerID == "" {
		s.ConsumerID = "c"
	}
	m, err := w.Subscribe(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) connect(namespace string) (*wiretest.WS, string) {
	w.t.Helper()
	return w.listener.Connect(w.t, namespace)
}

// left has a consumer join, settle one event of a browser that leaves too, and
// leave: what it asked for is remembered.
func (w *world) left(o SubscriptionOptions) {
	w.t.Helper()
	m := w.subscribe(o)
	c, _ := w.connect("")
	c.Say(`42["settled"]`)
	ok(w.t, m.Ack(m.expect(w.t, "message / settled[]")[0].ID()))
	c.Close()
	synctest.Wait()
	m.Close()
}

// numbered returns n events with the numbers from 0.
func numbered(n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf(`42["n",%d]`, i))
	}
	return texts
}

// get returns the next delivery, or fails when none is there once all is quiet.
func (s *Subscription) get(t *testing.T) Delivery {
	t.Helper()
	synctest.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	d, err := s.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return d
}

// none fails if there is a delivery once all is quiet.
func (s *Subscription) none(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if d, ok, _ := s.Poll(); ok {
		t.Errorf("unexpected delivery %s", show(d))
	}
}

func show(d Delivery) string {
	kind := [...]string{"connecting", "connected", "message", "disconnected", "recovery"}[d.Kind]
	s := strings.TrimSpace(fmt.Sprintf("%s %s %s%s%s", kind, d.Namespace, d.Name, d.Args, d.Reason))
	if d.Existing {
		s += " existing"
	}
	if d.Attempt > 1 {
		s += fmt.Sprintf(" attempt %d", d.Attempt)
	}
	return s
}

func (s *Subscription) expect(t *testing.T, wants ...string) (all []Delivery) {
	t.Helper()
	for _, want := range wants {
		d := s.get(t)
		if got := show(d); got != want {
			t.Errorf("delivery %q, want %q", got, want)
		}
		all = append(all, d)
	}
	return all
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}
