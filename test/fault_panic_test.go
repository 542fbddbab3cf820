package test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestFaultPanic: a panic of the daemon over what one browser did ends that browser's
// session, over a call of a backend that call; everybody else is served as before. They are
// counted, and logged with their stacks, of many the first ones.
func TestFaultPanic(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a daemon with faults; run without -short")
	}
	needLinux(t)
	s := besiege(t, faultyBinary(t))
	const each = 25
	for _, a := range []struct {
		name   string
		panics int // of each session; 0: one at least
		attack func(*siege) error
	}{
		{"events over WebSocket", 1, (*siege).panicOverWebSocket},
		{"events over polling", 1, (*siege).panicOverPolling},
		{"a connection that has been let in", 1, func(s *siege) error { return s.panicOver(`40/tenant-connected,`) }},
		{"a connection's end", 1, func(s *siege) error { return s.panicOver(`40/tenant-disconnected,`, `41/tenant-disconnected,`) }},
		{"a connection that is decided on", 0, (*siege).panicOverConnecting},
	} {
		before := s.metrics()[`fanoutd_panics_total{of="browsers"}`]
		if err := swarm(each, each, func(int) error { return a.attack(s) }); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
		n := int(s.metrics()[`fanoutd_panics_total{of="browsers"}`] - before)
		if a.panics > 0 && n != each*a.panics || n < each {
			t.Errorf("%s: %d panics were counted, want %d of each of %d sessions", a.name, n, a.panics, each)
		}
	}
	emitter, registry := dialControl(t, s.control)
	for range each {
		_, err := emitter.Emit(s.ctx, &fanoutv1.EmitRequest{To: toEverybody, Event: "panic"})
		if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "a fault") {
			t.Errorf("a call that panicked was answered %v, want INTERNAL, and nothing more", err)
		}
	}
	if n := s.metrics()[`fanoutd_panics_total{of="backends"}`]; n != each {
		t.Errorf("%v panics of calls were counted, want %d", n, each)
	}
	if res, err := registry.CountConnections(s.ctx, &fanoutv1.CountConnectionsRequest{To: &fanoutv1.Target{Rooms: []string{"honest"}}}); err != nil || int(res.GetTotal()) != len(s.honest) {
		t.Errorf("the next call was answered %v, %v", res, err)
	}
	log := s.log.String()
	if stacks := strings.Count(log, `msg="panic in what one browser did"`); stacks < 10 || stacks >= 4*each || !strings.Contains(log, "faultyBackend.Event") {
		t.Errorf("%d panics of browsers are in the log, want some of them, with their stacks", stacks)
	}
	if !strings.Contains(log, "faultyHub.Apply") {
		t.Error("the stack of a call that panicked is not in the log")
	}
	s.lift(smallGrowth)
}

// panicOver sends packets, over the last of which the daemon panics.
func (s *siege) panicOver(packets ...string) error {
	w, err := s.webSocket("")
	if err != nil {
		return err
	}
	defer w.Close()
	for _, p := range packets {
		if err := w.say(p); err != nil {
			return err
		}
	}
	if err := w.end(); !closedWith(err, "internal error") {
		return fmt.Errorf("its session ended with %w, want an internal error", err)
	}
	return nil
}

func (s *siege) panicOverWebSocket() error { return s.panicOver("40", `42["panic"]`) }

func (s *siege) panicOverPolling() error {
	p := &polling{ctx: s.ctx, client: &http.Client{Transport: &http.Transport{}}, address: s.listen}
	defer p.client.CloseIdleConnections()
	if err := p.open(""); err != nil {
		return err
	}
	if err := p.post("40"); err != nil {
		return err
	}
	if _, err := p.get(); err != nil {
		return err
	}
	_ = p.post(`42["panic"]`) // whatever it is answered
	for {
		body, err := p.get()
		var answer errStatus
		if errors.As(err, &answer) && answer.status == http.StatusBadRequest {
			return nil // the session is gone
		}
		if err != nil || body != "1" && !strings.HasPrefix(body, "2") {
			return fmt.Errorf("its poll was answered %q, %w, want the end", body, err)
		}
	}
}

// panicOverConnecting asks for a namespace over which the daemon cannot decide. That is
// told to the client, or ends the session, when the time to decide is over.
func (s *siege) panicOverConnecting() error {
	w, err := s.webSocket("")
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.say(`40/tenant-connecting,`); err != nil {
		return err
	}
	for {
		answer, err := w.hear()
		var closed errClosed
		switch {
		case errors.As(err, &closed), strings.HasPrefix(answer, "44/tenant-connecting,"):
			return nil
		case err != nil:
			return err
		case answer == "2":
			if err := w.say("3"); err != nil {
				return err
			}
		case strings.HasPrefix(answer, "40"):
			return fmt.Errorf("it was let in: %q", answer)
		}
	}
}
