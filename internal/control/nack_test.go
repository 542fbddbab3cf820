package control

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// Whose fault it is that a delivery is given back decides what becomes of it.
func TestConsumeNackReasons(t *testing.T) {
	inWorld(t, dispatch.Options{MaxAttempts: 2}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{OneByOne: true})
		c, _ := w.connect("")
		nack := func(id string, why fanoutv1.ConsumeRequest_Nack_Reason) {
			m := nacking(id)
			m.GetNack().Delay, m.GetNack().Reason = durationpb.New(time.Second), why
			k.say(m)
		}
		c.Say(`42["n",0]`)
		c.Say(`42["n",1]`)
		id := k.event("MESSAGE / n[0]").GetDeliveryId()
		k.quiet() // the second waits for the first
		nack(id, 17)
		if got := k.rejection(id, codes.InvalidArgument, "nack.reason"); got != fanoutv1.ConsumeResponse_Rejected_NACK {
			t.Errorf("%s was rejected", got)
		}
		for _, attempt := range []string{"2", "3", "4"} {
			nack(id, fanoutv1.ConsumeRequest_Nack_UNAVAILABLE)
			k.takenBack(fanoutv1.ConsumeResponse_Cancelled_NACKED, 1)
			k.event("MESSAGE / n[0] attempt " + attempt)
		}
		nack(id, fanoutv1.ConsumeRequest_Nack_REJECTED)
		id = k.event("MESSAGE / n[1]").GetDeliveryId()
		nack(id, fanoutv1.ConsumeRequest_Nack_FAILED)
		k.takenBack(fanoutv1.ConsumeResponse_Cancelled_NACKED, 1)
		k.event("MESSAGE / n[1] attempt 2")
		k.say(acking(id))
		k.quiet()
		if n := w.events.Stats().DeadLetters; n != 1 {
			t.Errorf("there are %d dead letters, want the one that was rejected", n)
		}
		c.Close()
	})
}
