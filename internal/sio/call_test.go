package sio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// calling is a Call and the outcomes that it was told of.
type calling struct {
	cancel func()
	mu     sync.Mutex
	heard  []string
}

func callOf(id string, timeout time.Duration) AckRequest {
	o := event("ask", "")
	o.To = to(room.Selector{IDs: []string{id}})
	return AckRequest{Emit: o, Timeout: timeout}
}

func (w *world) call(id string, timeout time.Duration) *calling {
	w.t.Helper()
	c := &calling{}
	var err error
	c.cancel, err = w.Call(context.Background(), callOf(id, timeout), func(o AckResult) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard = append(c.heard, strings.TrimSpace(fmt.Sprintf("%s %d %s %q", o.ConnectionID, o.Outcome, o.Args, o.Attachments)))
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (c *calling) outcome() string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.heard, "; ")
}

func TestCall(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a, idA := w.connect("")
		b, idB := w.connect("")
		first, second := w.call(idA, time.Minute), w.call(idA, time.Minute)
		w.apply(event("after", ""))
		for _, want := range []string{`421["ask"]`, `422["ask"]`, `42["after"]`} {
			expect(t, "in order", a.Next(), want)
		}
		expect(t, "sent to others", b.Next(), `42["after"]`)

		b.Say(`431["not asked"]`)
		expect(t, "an answer of another", first.outcome(), "")
		a.Say(`461-2[{"_placeholder":true,"num":0}]`)
		a.SayBinary("\x01")
		a.Say(`431[{"b":1, "a":12345678901234567890}]`)
		a.Say(`431["again"]`)
		expect(t, "first", first.outcome(), answered(idA, `[{"b":1, "a":12345678901234567890}]`, "[]"))
		expect(t, "second", second.outcome(), answered(idA, `[{"_placeholder":true,"num":0}]`, `["\x01"]`))
		first.cancel() // nothing
		w.nothingAwaited()

		start := time.Now()
		late := w.call(idA, 5*time.Second)
		time.Sleep(5 * time.Second)
		expect(t, "in time", late.outcome(), outcomeOf(idA, TimedOut))
		a.Next()
		a.Say(`433["too late"]`)
		canceled := w.call(idA, time.Minute)
		canceled.cancel()
		canceled.cancel()
		expect(t, "canceled", canceled.outcome(), outcomeOf(idA, Canceled))
		left, ended := w.call(idA, time.Minute), w.call(idB, time.Minute)
		a.Next()
		a.Next()
		a.Say("41")
		w.apply(Disconnect{To: to(room.Selector{IDs: []string{idB}})})
		expect(t, "left", left.outcome(), outcomeOf(idA, Disconnected))
		expect(t, "ended", ended.outcome(), outcomeOf(idB, Disconnected))
		for _, c := range []*calling{first, second, late, canceled} {
			if n := len(c.heard); n != 1 {
				t.Errorf("%d outcomes: %v", n, c.heard)
			}
		}
		expect(t, "time passed", time.Since(start), 5*time.Second)
		w.nothingAwaited()
		a.Close()
		b.Close()
	})
}

func TestCallRefused(t *testing.T) {
	inBubble(t, Options{Engine: engineio.Options{MaxQueue: 1000}}, func(w *world) {
		a, id := w.connect("")
		refuse := func(what string, o AckRequest, want error) {
			t.Helper()
			_, err := w.Call(context.Background(), o, func(r AckResult) { t.Errorf("%s: outcome %+v", what, r) })
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		nope := callOf(id, time.Second)
		nope.Emit.To.Namespace = "/nope"
		refuse("unknown namespace", nope, ErrUnknownNamespace)
		refuse("unknown connection", callOf("nobody", time.Second), ErrNotFound)
		large := callOf(id, time.Second)
		large.Emit.Args = []byte(`["` + strings.Repeat("x", 1000) + `"]`)
		refuse("too large", large, ErrTooLarge)
		w.awaited.Store(maxAwaited)
		refuse("too many awaited", callOf(id, time.Second), ErrBusy)
		w.awaited.Store(0)
		w.apply(event("end", ""))
		expect(t, "nothing was sent before", a.Next(), `42["end"]`)
		w.nothingAwaited()

		pending := w.call(id, time.Minute)
		a.Next()
		a.Idle()
		w.Shutdown(context.Background())
		expect(t, "at shutdown", pending.outcome(), outcomeOf(id, Disconnected))
		refuse("after it", callOf(id, time.Second), ErrClosed)
	})
}

// Calls, answers, ends, cancels and the time race: each call has exactly one outcome.
func TestCallChurn(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var clients sync.WaitGroup
		var all [8][]*calling
		for i := range all {
			clients.Go(func() {
				for range 20 {
					c, id := w.connect("")
					var calls []*calling
					for range 6 {
						calls = append(calls, w.call(id, time.Duration(1+i%2)*time.Second))
					}
					go calls[0].cancel()
					for n := range calls {
						ack, ok := strings.CutSuffix(strings.TrimPrefix(c.Next(), "42"), `["ask"]`)
						if !ok {
							t.Errorf("got %q", ack)
						}
						if n == 4 {
							time.Sleep(time.Second) // the time is up, for some
						}
						if n < 5 {
							c.SayLater("43" + ack + "[]")
						}
					}
					c.SayLater("1")
					c.Closed()
					all[i] = append(all[i], calls...)
				}
			})
		}
		clients.Wait()
		for _, calls := range all {
			for _, c := range calls {
				if got := c.outcome(); len(c.heard) != 1 {
					t.Errorf("outcomes: %q", got)
				}
			}
		}
		w.nothingAwaited()
	})
}
