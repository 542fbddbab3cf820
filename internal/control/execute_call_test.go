package control

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// callHub is a Hub whose calls end when a test says so, or are canceled.
type callHub struct {
	*memHub
	mu      sync.Mutex
	pending map[string]func(sio.AckResult) // by event
	err     error
	bug     bool // it panics, after it has asked
}

func newCallHub() *callHub {
	return &callHub{memHub: newMemHub(), pending: map[string]func(sio.AckResult){}}
}

func (h *callHub) Call(_ context.Context, o sio.AckRequest, done func(sio.AckResult)) (func(), error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, h.err
	}
	h.pending[o.Emit.Event] = done
	if h.bug {
		panic("a secret")
	}
	return func() { h.end(o.Emit.Event, sio.AckResult{Outcome: sio.Canceled}) }, nil
}

// end ends a call once; false: there is none.
func (h *callHub) end(event string, r sio.AckResult) bool {
	h.mu.Lock()
	done := h.pending[event]
	delete(h.pending, event)
	h.mu.Unlock()
	if done == nil {
		return false
	}
	done(r)
	return true
}

func (h *callHub) left() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.pending)
}

// Each outcome of a call, and each error of the Hub, is the same result as that of the RPC.
func TestExecuteCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newCallHub()
		hub.connect("/", "a", "")
		s, conn := dial(t, hub, Options{Logger: slog.New(slog.DiscardHandler)})
		x := execute(t, t.Context(), conn)
		for _, event := range []string{"1", "2", "3", "4"} {
			x.do(opCall("a", event, time.Minute))
		}
		x.do(opEmit(toAll(), "5"))
		x.expect("5: emit 1")
		hub.end("2", sio.AckResult{Outcome: sio.Answered, Args: []byte(`["yes"]`)})
		x.expect(`2: call ["yes"]`)
		hub.end("1", sio.AckResult{Outcome: sio.TimedOut})
		x.expect("1: DeadlineExceeded: the connection did not answer in time")
		hub.end("3", sio.AckResult{Outcome: sio.Disconnected})
		x.expect("3: Aborted: the connection ended before it answered")
		for range 2 {
			x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Cancel_{Cancel: &fanoutv1.ExecuteRequest_Cancel{Sequence: 4}}})
		}
		x.expect("4: Canceled: canceled by the caller")
		for err, want := range map[error]string{
			sio.ErrNotFound:         `NotFound: no connection "a" in namespace "/"`,
			sio.ErrUnknownNamespace: "InvalidArgument: command.operation.call.namespace: no such namespace",
			sio.ErrTooLarge:         "InvalidArgument: command.operation.call.args_json: the packet is larger than clients accept",
			sio.ErrBusy:             "ResourceExhausted: too many answers are awaited",
			sio.ErrClosed:           "Unavailable: the server is shutting down",
		} {
			hub.err = err
			n := x.do(opCall("a", "x", time.Minute))
			x.expect(fmt.Sprintf("%d: %s", n, want))
		}
		hub.err = sio.ErrElsewhere
		hub.answer = func(string) sio.AckResult { return sio.AckResult{Args: []byte(`["from elsewhere"]`)} }
		n := x.do(opCall("a", "x", time.Minute))
		x.expect(fmt.Sprintf(`%d: call ["from elsewhere"]`, n))

		hub.err, hub.bug = nil, true
		n = x.do(opCall("a", "bug", time.Minute))
		x.expect(fmt.Sprintf("%d: Internal: internal error", n))
		if !hub.end("bug", sio.AckResult{}) { // too late
			t.Error("the bug has not asked")
		}
		n = x.do(opEmit(toAll(), "after"))
		x.expect(fmt.Sprintf("%d: emit 1", n))
		if rest := x.finish(); len(rest) > 0 || x.through != n {
			t.Errorf("acked through %d, with %v", x.through, rest)
		}
		if s.Errors.Panics() != 1 {
			t.Errorf("%d panics were counted", s.Errors.Panics())
		}
	})
}

// A stream that ends, whether its caller has closed its side or not, leaves no call behind.
func TestExecuteCallsEndWithTheStream(t *testing.T) {
	for _, closed := range []bool{false, true} {
		t.Run(fmt.Sprint("closed ", closed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := newCallHub()
				s, conn := dial(t, hub, Options{})
				ctx, cancel := context.WithCancel(t.Context())
				x := execute(t, ctx, conn)
				x.do(opCall("a", "1", time.Hour))
				x.do(opCall("a", "2", time.Hour))
				if closed {
					if err := x.stream.CloseSend(); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if n := hub.left(); n != 2 {
					t.Errorf("%d calls are under way", n)
				}
				cancel()
				synctest.Wait()
				if n := hub.left(); n != 0 {
					t.Errorf("%d calls are left", n)
				}
				s.Wait() // for nothing
			})
		})
	}
}

// More calls than may be awaited are refused, until some have ended.
func TestExecuteBoundsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newCallHub()
		_, conn := dial(t, hub, Options{})
		x := execute(t, t.Context(), conn)
		x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: &fanoutv1.ExecuteRequest_Open{Results: fanoutv1.ExecuteRequest_Open_ERRORS}}})
		for n := range maxAwaiting {
			x.do(opCall("a", fmt.Sprint(n), time.Hour))
		}
		n := x.do(opCall("a", "too many", time.Hour))
		x.expect(fmt.Sprintf("%d: ResourceExhausted: 4096 commands of this stream await answers already", n))
		x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Cancel_{Cancel: &fanoutv1.ExecuteRequest_Cancel{Sequence: 1}}})
		n = x.do(opCall("a", "one more", time.Hour))
		x.expect("1: Canceled: canceled by the caller")
		hub.end("one more", sio.AckResult{Args: []byte("[]")})
		x.expect(fmt.Sprintf("%d: call []", n))
		for n := range maxAwaiting {
			hub.end(fmt.Sprint(n), sio.AckResult{Outcome: sio.TimedOut})
		}
		if rest := x.finish(); len(rest) != maxAwaiting-1 {
			t.Errorf("%d results are left", len(rest))
		}
	})
}

// A call that awaits a connection here has no goroutine.
func TestExecuteCallsWithoutGoroutines(t *testing.T) {
	inOneNode(t, dispatch.Options{}, func(w *world) {
		const calls = 100
		c, id := w.connect("")
		x := execute(t, w.ctx(), w.conn)
		x.do(opCall(id, "warm", time.Hour))
		c.Say("43" + ackID(c.Next()) + "[]")
		x.expect("1: call []")
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range calls {
			x.do(opCall(id, "x", time.Hour))
		}
		var acks []string
		for range calls {
			acks = append(acks, ackID(c.Next()))
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > calls/10 {
			t.Errorf("%d goroutines await %d answers", n, calls)
		}
		for _, ack := range acks {
			c.Say("43" + ack + "[]")
		}
		for n := range calls {
			x.expect(fmt.Sprintf("%d: call []", n+2))
		}
		x.finish()
		c.Close()
	})
}
