package control

import (
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// A stream that says nothing for 20 s says that it lives, and what it says
// otherwise counts as that.
func TestConsumeHeartbeat(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c, _ := w.connect("")
		c.Idle()
		begin := time.Now()
		time.Sleep(3*heartbeatInterval + time.Second)
		c.Say(`42["n"]`)
		k.event("MESSAGE / n[]")
		if k.heartbeats != 3 {
			t.Errorf("%d heartbeats in %v, want 3", k.heartbeats, time.Since(begin))
		}
		time.Sleep(heartbeatInterval - time.Second)
		c.Say(`42["n"]`)
		k.event("MESSAGE / n[]")
		if k.heartbeats != 3 {
			t.Errorf("a heartbeat %v after an event", heartbeatInterval-time.Second)
		}
	})
}

func TestTailHeartbeat(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		s, err := w.client.Tail(w.ctx(), &fanoutv1.TailRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Header(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for i := range 3 {
			m, err := s.Recv()
			if err != nil || !m.GetHeartbeat() || m.GetEvent() != nil {
				t.Fatalf("got %v, %v, want a heartbeat", m, err)
			}
			if got, want := time.Since(begin), time.Duration(i+1)*heartbeatInterval; got != want {
				t.Errorf("heartbeat %d after %v, want %v", i, got, want)
			}
		}
	})
}

func TestEmitWithAckHeartbeat(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, _ := w.connect("")
		c.Idle()
		s, err := fanoutv1.NewEmitterServiceClient(w.conn).EmitWithAck(w.ctx(), &fanoutv1.EmitWithAckRequest{
			Emit: &fanoutv1.EmitRequest{To: toAll(), Event: "q"}, Timeout: seconds(50),
		})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := s.Recv(); err != nil || m.GetStarted().GetExpected() != 1 {
			t.Fatalf("got %v, %v, want started", m, err)
		}
		for range 2 {
			if m, err := s.Recv(); err != nil || m.GetHeartbeat() == nil {
				t.Fatalf("got %v, %v, want a heartbeat", m, err)
			}
		}
		if m, err := s.Recv(); err != nil || m.GetFailed().GetReason() != fanoutv1.EmitWithAckResponse_Failed_TIMEOUT {
			t.Errorf("got %v, %v, want a timeout", m, err)
		}
		if m, err := s.Recv(); err != nil || m.GetSummary().GetTimedOut() != 1 {
			t.Errorf("got %v, %v, want the summary", m, err)
		}
	})
}
