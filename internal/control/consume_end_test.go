package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// What a worker had not settled when it went, in whatever way, goes to another
// at once.
func TestConsumeRedelivers(t *testing.T) {
	ways := map[string]func(*worker){
		"cancelled":   func(k *worker) { k.cancel() },
		"half-closed": func(k *worker) { k.close() },
		"at fault":    func(k *worker) { k.say(&fanoutv1.ConsumeRequest{}) },
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			inWorld(t, dispatch.Options{}, func(w *world) {
				a := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "a"})
				c, _ := w.connect("")
				for i := range 3 {
					c.Say(fmt.Sprintf(`42["n",%d]`, i))
				}
				first := a.event("MESSAGE / n[0]")
				a.event("MESSAGE / n[1]")
				a.event("MESSAGE / n[2]")
				a.say(acking(first.GetDeliveryId()))
				a.quiet()
				b := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "b"})
				before := time.Now()
				end(a)
				again := b.event("MESSAGE / n[1] attempt 2")
				if again.GetConnectionId() != first.GetConnectionId() || again.GetSequence() != first.GetSequence()+1 {
					t.Errorf("got %v after %v", again, first)
				}
				b.say(acking(again.GetDeliveryId())) // either may have brought a down: one at a time
				b.event("MESSAGE / n[2] attempt 2")
				if time.Now() != before {
					t.Errorf("that took %v", time.Since(before))
				}
				c.Close()
			})
		})
	}
}

func TestConsumeNack(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c, _ := w.connect("")
		c.Say(`42["n",0]`)
		c.Say(`42["n",1]`)
		first := k.event("MESSAGE / n[0]")
		k.event("MESSAGE / n[1]")
		k.say(nacking(first.GetDeliveryId()))
		k.takenBack(fanoutv1.ConsumeResponse_Cancelled_NACKED, 2) // the one behind it too
		again := k.event("MESSAGE / n[0] attempt 2")
		if again.GetDeliveryId() != first.GetDeliveryId() {
			t.Errorf("it is %q now, and was %q", again.GetDeliveryId(), first.GetDeliveryId())
		}
		k.event("MESSAGE / n[1] attempt 2")
		c.Close()
	})
}

func TestConsumeReplaced(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		old := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "c"})
		c, _ := w.connect("")
		c.Say(`42["n"]`)
		old.event("MESSAGE / n[]")
		again := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "c"})
		st := old.ends(codes.Aborted)
		if info, ok := st.Details()[0].(*errdetails.ErrorInfo); !ok || info.GetReason() != "CONSUMER_REPLACED" {
			t.Errorf("details: %v", st.Details())
		}
		again.event("MESSAGE / n[] attempt 2")
		c.Close()
	})
}

func TestConsumeStalled(t *testing.T) {
	t.Run("does not settle", func(t *testing.T) {
		inWorld(t, dispatch.Options{}, func(w *world) {
			k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxInFlight: 1})
			c, _ := w.connect("")
			c.Idle()
			c.Say(`42["n",0]`)
			c.Say(`42["n",1]`)
			k.event("MESSAGE / n[0]")
			before := time.Now()
			k.takenBack(fanoutv1.ConsumeResponse_Cancelled_ACK_WAIT, 1)
			if waited := time.Since(before); waited != 30*time.Second {
				t.Errorf("taken back after %v", waited)
			}
			k.event("MESSAGE / n[0] attempt 2") // there is nobody else
			c.Close()
		})
	})
	// The daemon hangs in a send to it, and gets out.
	t.Run("does not read", func(t *testing.T) {
		inWorld(t, dispatch.Options{QueueBytes: 64 << 20}, func(w *world) {
			k := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "deaf"})
			c, _ := w.connect("")
			c.Idle()
			big := strings.Repeat("x", 500_000)
			for range 8 {
				c.Say(`42["n","` + big + `"]`)
			}
			time.Sleep(20 * time.Second)
			resp, err := fanoutv1.NewAdminServiceClient(w.conn).ListConsumers(w.ctx(), nil)
			if n := resp.GetCounts().GetStalledConsumers(); err != nil || n != 1 {
				t.Errorf("%d consumers stalled, %v", n, err)
			}
			other := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "other"})
			for range 8 {
				e := other.next()
				if len(e.GetArgsJson()) != len(big)+4 {
					t.Fatalf("got an event of %d bytes", len(e.GetArgsJson()))
				}
				other.say(acking(e.GetDeliveryId()))
			}
			for {
				if _, err := k.stream.Recv(); err != nil {
					if status.Code(err) != codes.ResourceExhausted {
						t.Errorf("the deaf one ended with %v", err)
					}
					break
				}
			}
			c.Close()
		})
	})
	// As it does after the worker has closed its side.
	t.Run("does not read what is left", func(t *testing.T) {
		inWorld(t, dispatch.Options{QueueBytes: 64 << 20}, func(w *world) {
			k := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "deaf"})
			c, _ := w.connect("")
			c.Idle()
			big := strings.Repeat("x", 500_000)
			for range 8 {
				c.Say(`42["n","` + big + `"]`)
			}
			synctest.Wait() // the daemon hangs
			k.close()
			time.Sleep(flushWait)
			synctest.Wait()
			var err error
			for err == nil {
				_, err = k.stream.Recv()
			}
			if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("the deaf one ended with %v", err)
			}
			c.Close()
		})
	})
}

// A worker that leaves gets nothing more, settles in peace, and ends with OK.
func TestConsumeLeave(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		a := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "a", MaxInFlight: 1})
		c, _ := w.connect("")
		c.Say(`427["n",0]`)
		c.Say(`42["n",1]`)
		first := a.event("MESSAGE / n[0]")
		a.say(leaving)
		a.drains()
		b := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "b"})
		b.quiet() // not before the first is settled
		a.say(leaving)
		a.say(acking(first.GetDeliveryId()))
		b.event("MESSAGE / n[1]")
		a.say(replying(first.GetDeliveryId(), `["late"]`))
		if got := c.Next(); got != `437["late"]` {
			t.Errorf("the client got %q", got)
		}
		a.quiet()
		a.close()
		a.ends(codes.OK)
		c.Close()
	})
}

// At the drain a stream ends by itself once it has nothing in flight, so that
// the daemon need not wait for those that do not listen.
func TestConsumeDrains(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		busy := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "busy"})
		c, _ := w.connect("")
		c.Say(`42["n",0]`)
		e := busy.event("MESSAGE / n[0]")
		idle := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "idle"})
		silent := w.open(nil)
		synctest.Wait()
		w.control.Drain()
		silent.ends(codes.Unavailable) // it never opened: nobody waits for it
		w.open(nil).ends(codes.Unavailable)
		c.Say(`42["n",1]`) // those that are there go on
		more := busy.event("MESSAGE / n[1]")
		busy.say(acking(more.GetDeliveryId()))
		w.control.EndStreams()
		idle.drains()
		idle.ends(codes.Unavailable)
		busy.drains()
		busy.quiet()
		busy.say(acking(e.GetDeliveryId()))
		busy.ends(codes.Unavailable)
		if err := w.control.Shutdown(w.ctx()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		c.Close()
	})
}

// What a worker holds on to does not outlive the daemon's patience.
func TestConsumeShutdown(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c, _ := w.connect("")
		c.Say(`42["n"]`)
		k.event("MESSAGE / n[]")
		ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
		defer cancel()
		if err := w.control.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if n := len(w.group().Subscriptions); n != 0 {
			t.Errorf("%d consumers are left", n)
		}
		k.drains()
		k.ends(codes.Unavailable)
		c.Close()
	})
}
