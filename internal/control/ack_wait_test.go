package control

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// takenBack wants the next message to take back n deliveries for this reason.
func (k *worker) takenBack(reason fanoutv1.ConsumeResponse_Cancelled_Reason, n int) {
	k.t.Helper()
	m := k.get()
	if c := m.GetCancelled(); c.GetReason() != reason || len(c.GetDeliveryIds()) != n {
		k.t.Errorf("got %v, want %d deliveries taken back: %v", m, n, reason)
	}
}

func working(ids ...string) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Working_{Working: &fanoutv1.ConsumeRequest_Working{DeliveryIds: ids}}}
}

// A worker that hangs loses its connection to another, with all that follows; one
// that says it is working keeps it.
func TestAckWait(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		wait := durationpb.New(10 * time.Second)
		hangs := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "hangs", AckWait: wait})
		c, _ := w.connect("")
		c.Idle()
		c.Say(`42["n",0]`)
		c.Say(`42["n",1]`)
		first := hangs.event("MESSAGE / n[0]")
		hangs.event("MESSAGE / n[1]")
		other := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "other"})
		time.Sleep(8 * time.Second)
		hangs.say(working(first.GetDeliveryId(), "other.1"))
		hangs.rejection("other.1", codes.FailedPrecondition, "in flight")
		time.Sleep(9 * time.Second)
		hangs.quiet()
		hangs.takenBack(fanoutv1.ConsumeResponse_Cancelled_ACK_WAIT, 2)
		hangs.say(acking(first.GetDeliveryId()))
		hangs.rejection(first.GetDeliveryId(), codes.FailedPrecondition, "in flight")
		other.event("MESSAGE / n[0] attempt 2")
		other.event("MESSAGE / n[1] attempt 2")
		c.Close()
	})
}

func TestAckWaitBounds(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		for _, wait := range []*durationpb.Duration{durationpb.New(0), durationpb.New(time.Second - 1), durationpb.New(time.Hour + 1), {Nanos: -1, Seconds: 5}} {
			st := w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: "g", AckWait: wait})).ends(codes.InvalidArgument)
			if got := fields(t, st.Err()); len(got) != 1 || got[0] != "open.ack_wait" {
				t.Errorf("%v: got %q", wait, got)
			}
		}
	})
}

func TestNackDelay(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c, _ := w.connect("")
		c.Idle()
		c.Say(`42["n"]`)
		id := k.event("MESSAGE / n[]").GetDeliveryId()
		delayed := func(d time.Duration) *fanoutv1.ConsumeRequest {
			m := nacking(id)
			m.GetNack().Delay = durationpb.New(d)
			return m
		}
		k.say(delayed(2 * time.Hour))
		if got := k.rejection(id, codes.InvalidArgument, "nack.delay"); got != fanoutv1.ConsumeResponse_Rejected_NACK {
			t.Errorf("%s was rejected", got)
		}
		before := time.Now()
		k.say(delayed(7 * time.Second))
		k.takenBack(fanoutv1.ConsumeResponse_Cancelled_NACKED, 1)
		k.event("MESSAGE / n[] attempt 2")
		if waited := time.Since(before); waited != 7*time.Second {
			t.Errorf("it came again after %v", waited)
		}
		c.Close()
	})
}

// A CONNECTING whose client is not waiting any more is taken back.
func TestConnectingIsTakenBack(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true, Lifecycle: true})
		c := w.knock("40")
		id := k.event("CONNECTING / []").GetDeliveryId()
		k.takenBack(fanoutv1.ConsumeResponse_Cancelled_CLIENT_LEFT, 1)
		k.say(allowing(id, nil))
		k.rejection(id, codes.FailedPrecondition, "in flight")
		c.Close()
		synctest.Wait()
		k.quiet()
	})
}

// A CONNECTING whose client leaves is taken back at that moment; of one that was not
// delivered yet nothing is told.
func TestConnectingOfWhoLeft(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true, Lifecycle: true, MaxInFlight: 1})
		decided := w.knock("40")
		id := k.event("CONNECTING / []").GetDeliveryId()
		waits := w.knock("40")
		synctest.Wait()
		waits.Close()
		synctest.Wait()
		before := time.Now()
		decided.Close()
		m := k.get()
		if c := m.GetCancelled(); c.GetReason() != fanoutv1.ConsumeResponse_Cancelled_CLIENT_LEFT || !slices.Equal(c.GetDeliveryIds(), []string{id}) {
			t.Errorf("got %v, want %s taken back", m, id)
		}
		if late := time.Since(before); late >= time.Second {
			t.Errorf("that was told %v after the client had left", late)
		}
		synctest.Wait()
		k.quiet()
	})
}
