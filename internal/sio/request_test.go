package sio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// undecided is a backend that decides on a namespace when it is told to.
type undecided struct{ verdict map[string]chan error }

func (u undecided) decide(ctx context.Context, s *Socket) (Admission, error) {
	v := u.verdict[s.Namespace()]
	if v == nil {
		return Admission{}, nil
	}
	select {
	case err := <-v:
		return Admission{}, err
	case <-ctx.Done():
		return Admission{}, context.Cause(ctx)
	}
}

// inUndecided runs f with a server whose namespace /slow waits for verdicts, and a
// client that has asked for it.
func inUndecided(t *testing.T, opts Options, f func(w *world, c *wiretest.WS, verdict chan<- error)) {
	t.Helper()
	opts.Namespaces = []string{"/", "/slow"}
	inBubble(t, opts, func(w *world) {
		verdict := make(chan error)
		w.backend.decide = undecided{map[string]chan error{"/slow": verdict}}.decide
		c, _ := w.connect("")
		w.clearHeard()
		c.Say("40/slow,")
		synctest.Wait() // the backend is asked aside: it has been before anything follows
		f(w, c, verdict)
		c.Close()
	})
}

func (w *world) heardNow() string {
	synctest.Wait()
	return strings.Join(w.backend.take(), "; ")
}

// TestPendingHoldsUpItsNamespace: what comes for a namespace that is being decided
// on waits for it, in order; other namespaces and pings do not.
func TestPendingHoldsUpItsNamespace(t *testing.T) {
	inUndecided(t, Options{Engine: engineio.Options{PingInterval: time.Second, PingTimeout: time.Second}}, func(w *world, c *wiretest.WS, verdict chan<- error) {
		c.Say(`42/slow,["a"]`)
		c.Say(`42/slow,["b"]`)
		c.Say(`451-/slow,["c",{"_placeholder":true,"num":0}]`)
		c.SayBinary("x")
		c.Say(`42["d"]`)
		expect(t, "heard meanwhile", w.heardNow(), `connecting /slow ; event / d [] [] false 0`)
		for range 3 { // three ping intervals, longer than a ping timeout
			expect(t, "ping", c.Next(), "2")
			c.Say("3")
		}
		verdict <- nil
		if reply := c.Next(); !strings.HasPrefix(reply, `40/slow,{"sid":"`) {
			t.Errorf("got %s, want the CONNECT's answer", reply)
		}
		expect(t, "heard then", w.heardNow(), `connected /slow; event /slow a [] [] false 0; event /slow b [] [] false 0; `+
			`event /slow c [{"_placeholder":true,"num":0}] ["x"] false 0`)
	})
}

// TestPendingBounded: a client that sends too much for a namespace before it is in
// it is closed.
func TestPendingBounded(t *testing.T) {
	inUndecided(t, Options{Engine: engineio.Options{MaxPayload: 1000}}, func(w *world, c *wiretest.WS, _ chan<- error) {
		c.Say(`42/slow,["` + strings.Repeat("a", 900) + `"]`)
		synctest.Wait()
		expect(t, "heard", w.heardNow(), "connecting /slow ")
		c.Say(`42/slow,["` + strings.Repeat("a", 900) + `"]`)
		c.MustClose(1000, ReasonConnectOverflow)
		expect(t, "heard", w.heardNow(), "disconnected / "+ReasonConnectOverflow)
	})
}

// TestClientLeavesWhilePending: the backend that decides is told to stop, in every way that
// a client can leave, and no Connected follows. One that allows all the same hears
// of the end.
func TestClientLeavesWhilePending(t *testing.T) {
	for name, leave := range map[string]func(c *wiretest.WS){
		"leaves the namespace": func(c *wiretest.WS) { c.Say("41") },
		"says goodbye":         func(c *wiretest.WS) { c.Say("1") },
		"is cut off":           func(c *wiretest.WS) { c.Close() },
	} {
		for _, allows := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, allowed %v", name, allows), func(t *testing.T) {
				inBubble(t, Options{}, func(w *world) {
					w.backend.decide = func(ctx context.Context, s *Socket) (Admission, error) {
						<-ctx.Done()
						w.backend.note("told to stop")
						if allows {
							return Admission{}, nil
						}
						return Admission{}, context.Cause(ctx)
					}
					c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
					c.Next()
					c.Say("40")
					expect(t, "heard", w.heardNow(), "connecting / ")
					leave(c)
					heard := w.heardNow()
					if !strings.HasPrefix(heard, "told to stop") || strings.Contains(heard, "; connected /") ||
						strings.Contains(heard, "; disconnected /") != allows {
						t.Errorf("heard %q", heard)
					}
					expect(t, "connections", w.Stats().Connections, 0)
					c.Close()
				})
			})
		}
	}
}

// TestSecondConnect: it replaces the first, answered or not, and leaves the session
// and its other namespaces as they are.
func TestSecondConnect(t *testing.T) {
	t.Run("after the answer", func(t *testing.T) {
		inBubble(t, Options{Namespaces: []string{"/", "/chat"}}, func(w *world) {
			c, id := w.connect("")
			c.Join("/chat")
			w.clearHeard()
			if again := c.Join(""); again == id {
				t.Error("it is the same connection")
			}
			expect(t, "heard", w.heardNow(), "disconnected / replaced; connecting / ; connected /")
			c.Say(`42/chat,["a"]`)
			c.Say(`42["b"]`)
			expect(t, "heard", w.heardNow(), "event /chat a [] [] false 0; event / b [] [] false 0")
			expect(t, "connections", w.Stats().Connections, 2)
			c.Close()
		})
	})
	t.Run("before the answer", func(t *testing.T) {
		inUndecided(t, Options{}, func(w *world, c *wiretest.WS, verdict chan<- error) {
			c.Say(`42/slow,["lost with the first"]`)
			c.Say(`40/slow,{"second":true}`)
			expect(t, "heard", w.heardNow(), `connecting /slow ; connecting /slow {"second":true}`)
			verdict <- nil
			if reply := c.Next(); !strings.HasPrefix(reply, `40/slow,{"sid":"`) {
				t.Errorf("got %s, want the CONNECT's answer", reply)
			}
			expect(t, "heard", w.heardNow(), "connected /slow")
		})
	})
	t.Run("leaves and connects at once", func(t *testing.T) {
		inUndecided(t, Options{}, func(w *world, c *wiretest.WS, verdict chan<- error) {
			for range 100 {
				c.Say("41/slow,")
				c.Say("40/slow,")
			}
			synctest.Wait()
			verdict <- nil
			if reply := c.Next(); !strings.HasPrefix(reply, `40/slow,{"sid":"`) {
				t.Errorf("got %s, want the CONNECT's answer", reply)
			}
			expect(t, "connections", w.Stats().Connections, 2)
		})
	})
}

// TestPassingFailure: a client that is in no namespace is closed without a word, so
// that it comes back by itself.
func TestPassingFailure(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		w.backend.refuse = &Unavailable{Message: "away", Reason: errors.New("the backend is away")}
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say("40")
		c.MustClose(1000, ReasonUnavailable)
		expect(t, "heard", w.heardNow(), "connecting / ")
	})
}

// TestPassingFailureBesideOthers: a client that is in another namespace keeps it,
// and is asked about again until somebody decides, or the time is up.
func TestPassingFailureBesideOthers(t *testing.T) {
	t.Run("decided", func(t *testing.T) {
		inUndecided(t, Options{}, func(w *world, c *wiretest.WS, verdict chan<- error) {
			for range 5 {
				verdict <- &Unavailable{Message: "away"}
			}
			verdict <- nil
			if reply := c.Next(); !strings.HasPrefix(reply, `40/slow,{"sid":"`) {
				t.Errorf("got %s, want the CONNECT's answer", reply)
			}
			expect(t, "heard", w.heardNow(), strings.Repeat("connecting /slow ; ", 6)+"connected /slow")
		})
	})
	t.Run("never", func(t *testing.T) {
		inUndecided(t, Options{ConnectTimeout: 10 * time.Second}, func(w *world, c *wiretest.WS, verdict chan<- error) {
			before := time.Now()
			go func() {
				for {
					select {
					case verdict <- &Unavailable{Message: "away"}:
					case <-time.After(time.Minute):
						return
					}
				}
			}()
			expect(t, "answer", c.Next(), `44/slow,{"message":"try again later","data":{"retry":true}}`)
			expect(t, "after", time.Since(before), 10*time.Second)
			if n := strings.Count(w.heardNow(), "connecting /slow"); n < 4 || n > 10 {
				t.Errorf("asked %d times", n)
			}
			time.Sleep(2 * time.Minute)
		})
	})
	t.Run("the others end", func(t *testing.T) {
		inUndecided(t, Options{}, func(w *world, c *wiretest.WS, verdict chan<- error) {
			verdict <- &Unavailable{Message: "away"}
			synctest.Wait()
			c.Say("41")
			verdict <- &Unavailable{Message: "away"}
			c.MustClose(1000, ReasonUnavailable)
		})
	})
}
