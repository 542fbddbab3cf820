package sio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// asking is an EmitWithAck on a goroutine of its own and what it has reported.
type asking struct {
	mu      sync.Mutex
	heard   []string
	summary AckSummary
	err     error
	done    chan struct{}
}

func (w *world) ask(ctx context.Context, o AckRequest) *asking {
	a := &asking{done: make(chan struct{})}
	if o.Emit.Event == "" {
		o.Emit = event("ask", "")
	}
	go func() {
		defer close(a.done)
		a.summary, a.err = w.EmitWithAck(ctx, o, func(out AckResult) bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.heard = append(a.heard, strings.TrimSpace(fmt.Sprintf("%s %d %s %q", out.ConnectionID, out.Outcome, out.Args, out.Attachments)))
			return true
		})
	}()
	synctest.Wait()
	return a
}

func (a *asking) outcomes() []string {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.heard)
}

func answered(id, args, attachments string) string { return id + " 0 " + args + " " + attachments }
func outcomeOf(id string, o Outcome) string        { return fmt.Sprintf("%s %d  []", id, o) }

// ended waits for the end of the ask and checks that nothing is left of it.
func (w *world) ended(a *asking, want AckSummary) {
	w.t.Helper()
	<-a.done
	if a.err != nil {
		w.t.Errorf("EmitWithAck: %v", a.err)
	}
	expect(w.t, "summary", fmt.Sprint(a.summary), fmt.Sprint(want))
	w.nothingAwaited()
}

func (w *world) nothingAwaited() {
	w.t.Helper()
	synctest.Wait()
	expect(w.t, "awaited", w.awaited.Load(), 0)
	n := w.namespaces.find("/")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members.Select(room.Selector{All: true}, func(e *room.Entry[*Socket]) {
		expect(w.t, "asks of a socket", len(e.Value.pendingAcks), 0)
	})
}

func TestEmitWithAck(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a, idA := w.connect("")
		b, idB := w.connect("")
		c, idC := w.connect("")
		d, idD := w.connect("")
		start := time.Now()
		ask := w.ask(context.Background(), AckRequest{Timeout: 5 * time.Second})
		for _, client := range []interface{ Next() string }{a, b, c, d} {
			expect(t, "question", client.Next(), `421["ask"]`) // one packet for all
		}

		a.Say(`431[{"b":1, "a":12345678901234567890}]`)
		expect(t, "one answer", strings.Join(ask.outcomes(), "; "), answered(idA, `[{"b":1, "a":12345678901234567890}]`, "[]"))
		a.Say(`431["again"]`)
		a.Say(`432["nobody asked"]`)
		a.Say(`430["nor here"]`)
		b.Say(`461-1[{"_placeholder":true,"num":0}]`)
		b.SayBinary("\x01")
		synctest.Wait()
		c.Say("1") // goes
		c.MustClose(1000, "transport close")
		want := []string{
			answered(idA, `[{"b":1, "a":12345678901234567890}]`, "[]"),
			answered(idB, `[{"_placeholder":true,"num":0}]`, `["\x01"]`),
			outcomeOf(idC, Disconnected),
		}
		expect(t, "after two answers and an end", strings.Join(ask.outcomes(), "; "), strings.Join(want, "; "))
		expect(t, "reported at once", time.Since(start), 0)

		w.ended(ask, AckSummary{Expected: 4, Answered: 2, TimedOut: 1, Disconnected: 1})
		expect(t, "in the end", strings.Join(ask.outcomes(), "; "), strings.Join(append(want, outcomeOf(idD, TimedOut)), "; "))
		expect(t, "after", time.Since(start), 5*time.Second)
		d.Say(`431["too late"]`)
		d.Say(`425["echo"]`) // the session lives on
		expect(t, "ack", d.Next(), "435[]")
		a.Close()
		b.Close()
		d.Close()
	})
}

func TestEmitWithAckEnds(t *testing.T) {
	t.Run("enough answers", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			a, _ := w.connect("")
			b, _ := w.connect("")
			ask := w.ask(context.Background(), AckRequest{Timeout: time.Minute, MaxAcks: 1})
			a.Next()
			b.Next()
			a.Say("431[]")
			w.ended(ask, AckSummary{Expected: 2, Answered: 1})
			b.Say("431[]") // ignored
			a.Close()
			b.Close()
		})
	})
	t.Run("canceled", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			a, _ := w.connect("")
			ctx, cancel := context.WithCancelCause(context.Background())
			ask := w.ask(ctx, AckRequest{Timeout: time.Minute})
			why := errors.New("why")
			cancel(why)
			<-ask.done
			expect(t, "error", ask.err, why)
			w.nothingAwaited()
			a.Close()
		})
	})
	t.Run("every connection ended", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			a, _ := w.connect("")
			b, idB := w.connect("")
			ask := w.ask(context.Background(), AckRequest{Timeout: time.Minute})
			a.Next()
			b.Next()
			a.Say("41")
			w.apply(Disconnect{To: to(room.Selector{IDs: []string{idB}})})
			w.ended(ask, AckSummary{Expected: 2, Disconnected: 2})
			a.Close()
			b.Close()
		})
	})
	t.Run("shutdown", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			a, _ := w.connect("")
			a.Idle()
			ask := w.ask(context.Background(), AckRequest{Timeout: time.Minute})
			w.Shutdown(context.Background())
			w.ended(ask, AckSummary{Expected: 1, Disconnected: 1})
			_, err := w.EmitWithAck(context.Background(), AckRequest{Emit: event("x", ""), Timeout: time.Second}, nil)
			expect(t, "asked afterwards", err, ErrClosed)
		})
	})
	t.Run("yield has enough", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			a, _ := w.connect("")
			b, _ := w.connect("")
			go func() { a.Next(); a.Say("431[]") }()
			go func() { b.Next(); b.Say("431[]") }()
			summary, err := w.EmitWithAck(context.Background(), AckRequest{Emit: event("x", ""), Timeout: time.Minute}, func(AckResult) bool { return false })
			expect(t, "error", err, nil)
			expect(t, "summary", fmt.Sprint(summary), fmt.Sprint(AckSummary{Expected: 2, Answered: 1}))
			w.nothingAwaited()
			a.Close()
			b.Close()
		})
	})
}

func TestEmitWithAckRefused(t *testing.T) {
	inBubble(t, Options{Engine: engineio.Options{MaxQueue: 1000}}, func(w *world) {
		a, _ := w.connect("")
		nope := event("x", "")
		nope.To.Namespace = "/nope"
		empty := event("x", "")
		empty.To = to(room.Selector{Rooms: []string{"empty"}})
		for name, tt := range map[string]struct {
			emit Emit
			want error
		}{
			"unknown namespace": {nope, ErrUnknownNamespace},
			"too large":         {event("x", `["`+strings.Repeat("x", 1000)+`"]`), ErrTooLarge},
			"nobody":            {empty, nil},
		} {
			summary, err := w.EmitWithAck(context.Background(), AckRequest{Emit: tt.emit, Timeout: time.Second}, nil)
			if !errors.Is(err, tt.want) || summary.Expected != 0 {
				t.Errorf("%s: %+v, %v, want %v", name, summary, err, tt.want)
			}
		}
		w.awaited.Store(maxAwaited)
		_, err := w.EmitWithAck(context.Background(), AckRequest{Emit: event("x", ""), Timeout: time.Second}, nil)
		expect(t, "too many awaited", err, ErrBusy)
		w.awaited.Store(0)
		w.apply(event("end", ""))
		expect(t, "nothing was sent before", a.Next(), `42["end"]`)
		a.Close()
	})
}

// A volatile question goes only to those who can take it, and only they are
// expected to answer.
func TestEmitWithAckVolatile(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a, idA := w.connect("")
		busy, _ := w.connect("")
		synctest.Wait()
		w.apply(event("unread", "")) // nobody reads: the transports are busy
		expect(t, "event", a.Next(), `42["unread"]`)
		synctest.Wait()
		o := event("ask", "")
		o.Volatile = true
		ask := w.ask(context.Background(), AckRequest{Emit: o, Timeout: time.Minute})
		expect(t, "question", a.Next(), `421["ask"]`)
		a.Say("431[]")
		w.ended(ask, AckSummary{Expected: 1, Answered: 1})
		expect(t, "outcomes", strings.Join(ask.outcomes(), "; "), answered(idA, "[]", "[]"))
		a.Close()
		busy.Close()
	})
}

// Who does not take answers holds up the browsers that answer, for a while.
func TestEmitWithAckSlowly(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a, _ := w.connect("")
		b, _ := w.connect("")
		c, _ := w.connect("")
		slow := make(chan struct{})
		asked := make(chan AckSummary)
		go func() {
			summary, _ := w.EmitWithAck(context.Background(), AckRequest{Emit: event("x", ""), Timeout: time.Minute}, func(AckResult) bool {
				<-slow
				return true
			})
			asked <- summary
		}()
		for _, client := range []interface {
			Next() string
			Say(string)
		}{a, b, c} {
			client.Next()
			client.Say("431[]")
			synctest.Wait()
		}
		// a's answer is being dealt with; b and c are held up.
		c.SayLater("41")
		b.SayLater(`427["echo"]`)
		time.Sleep(maxHold - time.Second)
		expect(t, "connections while held up", w.Stats().Connections, 3)
		expect(t, "received of b while held up", w.Stats().Received, 0)
		time.Sleep(2 * time.Second)
		expect(t, "b goes on", b.Next(), "437[]")
		expect(t, "c has left", w.Stats().Connections, 2)
		b.Say(`431["once more"]`) // its answer was refused
		close(slow)
		time.Sleep(15 * time.Second)
		a.Idle()
		b.Idle()
		expect(t, "summary", fmt.Sprint(<-asked), fmt.Sprint(AckSummary{Expected: 3, Answered: 1, TimedOut: 1, Disconnected: 1}))
		w.nothingAwaited()
		a.Close()
		b.Close()
		c.Close()
	})
}

// Asks, answers and ends race: every connection has exactly one outcome.
func TestEmitWithAckChurn(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var clients, askers sync.WaitGroup
		stop := make(chan struct{})
		for range 3 {
			askers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					seen := map[string]bool{}
					summary, err := w.EmitWithAck(context.Background(), AckRequest{Emit: event("ask", ""), Timeout: time.Second}, func(o AckResult) bool {
						if seen[o.ConnectionID] {
							t.Errorf("%s has two outcomes", o.ConnectionID)
						}
						seen[o.ConnectionID] = true
						return true
					})
					if err != nil || len(seen) != summary.Expected || summary.Answered+summary.Disconnected+summary.TimedOut != summary.Expected {
						t.Errorf("%d outcomes, %+v, %v", len(seen), summary, err)
					}
				}
			})
		}
		for range 6 {
			clients.Go(func() {
				for range 20 {
					c, _ := w.connect("")
					for range 5 {
						id, ok := strings.CutSuffix(strings.TrimPrefix(c.Next(), "42"), `["ask"]`)
						if !ok {
							t.Errorf("got %q", id)
						}
						c.SayLater("43" + id + "[]")
					}
					c.SayLater("1")
					c.Closed()
				}
			})
		}
		clients.Wait()
		close(stop)
		askers.Wait()
		w.nothingAwaited()
	})
}
