package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
)

// answered is an answer that has to come.
func answered[T any](t *testing.T, a *Answer[T]) T {
	t.Helper()
	v, err := a.Wait(t.Context())
	if err != nil {
		t.Error(err)
	}
	return v
}

// TestCommands: each sees what those before it did, the browser gets what it is sent in
// that order, replies included, and a command that awaits a browser holds up nothing.
func TestCommands(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		x := client.Commands(w.t.Context())
		c := client.Consumer(ConsumerOptions{Group: "g"})
		var call *Answer[Args]
		var update *Answer[Reached]
		c.On("ask", func(_ context.Context, e *Event) (Reply, error) {
			x.Join(e.Target(), "r")
			x.Emit(Rooms("r"), "first")
			call = x.Call(e.Conn, time.Minute, "call", "x")
			x.Reply(e, "answer")
			ada := "ada"
			update = x.Update(e.Target(), Update{User: &ada, Data: map[string]any{"a": 1}})
			x.Emit(Users(ada), "second")
			x.Leave(e.Target(), "r")
			return Reply{"too late"}, nil
		})
		stop := w.start(c)
		b, id := w.connect()
		b.Say(`421["ask"]`)
		for _, want := range []string{`42["first"]`, "call", `431["answer"]`, `42["second"]`} {
			got := b.Next()
			if want == "call" {
				var n int
				if _, err := fmt.Sscanf(got, "42%d[", &n); err != nil {
					t.Errorf("got %s", got)
				}
				b.Say(fmt.Sprintf(`43%d["called",1]`, n))
				continue
			}
			expect(t, "the browser gets", got, want)
		}
		expect(t, "updated", answered(w.t, update).Count, 1)
		expect(t, "called", answered(w.t, call).JSON(), `["called",1]`)
		updated, err := client.Update(w.t.Context(), IDs(id), Update{Data: map[string]any{"b": 1}, Replace: true, Lasting: true})
		if err != nil || updated.Count != 1 {
			t.Errorf("an update: %v, %v", updated, err)
		}
		expect(t, "ended", answered(w.t, x.Disconnect(Users("ada"), DisconnectOptions{})).Count, 1)
		expect(t, "the browser gets", b.Next(), "41")
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if _, err := x.Emit(All(), "e").Wait(w.t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		stop()
	})
}

// TestCommandsThatFail stop nothing, and have the daemon's status.
func TestCommandsThatFail(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		x := client.Commands(w.t.Context())
		nobody, wrong, unsent, none := x.Emit(Target{}, "e"), x.Emit(All(), "connect"), x.Emit(All(), "e", make(chan int)), x.Call(Conn{ID: "none"}, time.Second, "e")
		expect(t, "matched", answered(w.t, x.Emit(All(), "e")).Count, 0)
		for _, a := range []*Answer[Reached]{nobody, wrong} {
			if _, err := a.Wait(w.t.Context()); status.Code(err) != codes.InvalidArgument || len(status.Convert(err).Details()) == 0 {
				t.Errorf("got %v", err)
			}
		}
		if _, err := unsent.Wait(w.t.Context()); err == nil || status.Code(err) != codes.Unknown {
			t.Errorf("what is no JSON: %v", err)
		}
		if _, err := none.Wait(w.t.Context()); status.Code(err) != codes.NotFound {
			t.Errorf("a call of nobody: %v", err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestCommandsAfterABreak: what was not answered fails, and the rest goes on by a new
// stream, in order.
func TestCommandsAfterABreak(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		b, id := w.connect()
		conn := Conn{ID: id, Namespace: "/"}
		x := client.Commands(w.t.Context())
		call := x.Call(conn, time.Hour, "call")
		b.Next()
		w.away.Store(true)
		w.cut()
		synctest.Wait()
		if _, err := call.Wait(w.t.Context()); !errors.Is(err, ErrInterrupted) {
			t.Errorf("the call: %v", err)
		}
		var all []*Answer[Reached]
		for i := range 10 {
			all = append(all, x.Emit(conn.Target(), fmt.Sprint(i)))
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		if _, err := all[0].Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the daemon is away: %v", err)
		}
		cancel()
		w.away.Store(false)
		for i, a := range all {
			if _, err := a.Wait(w.t.Context()); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			expect(t, "the browser gets", b.Next(), fmt.Sprintf("42[%q]", fmt.Sprint(i)))
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		b.Close()
	})
}

// TestCommandsEnd: with the context, all that waits does.
func TestCommandsEnd(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		ctx, cancel := context.WithCancelCause(w.t.Context())
		over := errors.New("over")
		x := client.Commands(ctx)
		synctest.Wait()
		w.away.Store(true)
		w.cut()
		synctest.Wait()
		all := make([]*Answer[Reached], 0, maxCommands)
		for range maxCommands {
			all = append(all, x.Emit(All(), "e"))
		}
		beyond := make(chan *Answer[Reached])
		go func() { beyond <- x.Emit(All(), "e") }()
		synctest.Wait()
		select {
		case <-beyond:
			t.Error("a command more is taken")
		default:
		}
		cancel(over)
		for _, a := range append(all, <-beyond) {
			if _, err := a.Wait(w.t.Context()); !errors.Is(err, over) && !errors.Is(err, ErrInterrupted) {
				t.Fatal(err)
			}
		}
		if err := x.Close(); !errors.Is(err, over) {
			t.Errorf("Close: %v", err)
		}
		w.away.Store(false)
	})
}

// TestCommandsWithAcks: what comes of an emit is told as it comes, and can be cancelled.
func TestCommandsWithAcks(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		a, idA := w.connect()
		b, _ := w.connect()
		synctest.Wait() // all nodes know of them
		x := client.Commands(w.t.Context())
		var heard notes
		emit, err := NewEmit(All(), "e")
		if err != nil {
			t.Fatal(err)
		}
		ask := func() *Answer[*fanoutv1.EmitWithAckResponse_Summary] {
			return x.EmitWithAck(&fanoutv1.EmitWithAckRequest{Emit: emit, Timeout: durationpb.New(time.Minute)}, func(r *fanoutv1.EmitWithAckResponse) {
				if ack := r.GetAck(); ack != nil {
					heard.add(fmt.Sprint(ack.GetConnectionId() == idA, ack.GetArgsJson()))
				}
			})
		}
		first := ask()
		var n int
		fmt.Sscanf(a.Next(), "42%d[", &n)
		b.Next()
		a.Say(fmt.Sprintf(`43%d["yes"]`, n))
		expect(t, "acks", heard.take(), `true["yes"]`)
		b.Close()
		if s := answered(w.t, first); s.GetExpected() != 2 || s.GetAcked() != 1 || s.GetDisconnected() != 1 {
			t.Errorf("summary %v", s)
		}
		second := ask()
		a.Next()
		second.Cancel()
		if _, err := second.Wait(w.t.Context()); status.Code(err) != codes.Canceled {
			t.Errorf("cancelled: %v", err)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		a.Close()
	})
}

// A command that cannot be sent fails alone: what waits on the same stream goes on waiting, and
// what follows is done.
func TestCommandsThatCannotBeSent(t *testing.T) {
	for name, tt := range map[string]struct {
		give func(x *Commands, id string) (wait func() error)
		is   func(error) bool
	}{
		"no UTF-8": {
			func(x *Commands, id string) func() error { return waitFor(x.Join(IDs(id), "\xff")) },
			func(err error) bool { return err != nil },
		},
		"too large": {
			func(x *Commands, id string) func() error {
				return waitFor(x.Emit(IDs(id), "large", strings.Repeat("x", control.DefaultMaxRequest)))
			},
			func(err error) bool { return status.Code(err) == codes.ResourceExhausted },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				client := w.dial()
				defer client.Close()
				x := client.Commands(w.t.Context())
				b, id := w.connect()
				call := x.Call(Conn{ID: id}, time.Minute, "ask")
				wait := tt.give(x, id)
				x.Emit(IDs(id), "after")
				if err := wait(); !tt.is(err) || errors.Is(err, ErrInterrupted) {
					t.Errorf("it failed with %v", err)
				}
				var n int
				if got := b.Next(); !strings.HasPrefix(got, "42") {
					t.Errorf("got %s", got)
				} else if _, err := fmt.Sscanf(got, `42%d["ask"]`, &n); err != nil {
					t.Errorf("got %s", got)
				}
				expect(t, "what follows", b.Next(), `42["after"]`)
				b.Say(fmt.Sprintf("43%d[1]", n))
				if got := answered(w.t, call); got.JSON() != "[1]" {
					t.Errorf("the call was answered %s", got.JSON())
				}
				b.Close()
				if err := x.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// waitFor returns what waits for the end of a command.
func waitFor(a *Answer[Reached]) func() error {
	return func() error { _, err := a.Wait(context.Background()); return err }
}
