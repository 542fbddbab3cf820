package control

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// TestRecoveryTold: backends hear that a connection may come back, that it cannot any
// more, and why its client is somebody new.
func TestRecoveryTold(t *testing.T) {
	for name, start := range map[string]func(*world, sio.Options, dispatch.Options){
		"one node": (*world).startNode, "from another node": (*world).startNodes,
	} {
		t.Run(name, func(t *testing.T) {
			recovering := func(w *world, so sio.Options, o dispatch.Options) {
				so.RecoveryWindow = time.Minute
				so.Engine.PingInterval = time.Hour // its client answers no ping
				start(w, so, o)
			}
			inBubble(t, dispatch.Options{}, recovering, func(w *world) {
				k := w.consume(&fanoutv1.ConsumeRequest_Open{Lifecycle: true, RecoveryExpired: true, AckWait: durationpb.New(time.Hour)})
				c := w.knock("40")
				_, pid, _ := strings.Cut(c.Next(), `"pid":"`)
				pid = strings.TrimSuffix(pid, `"}`)
				first := k.event("CONNECTED /")
				if r := first.GetConnection().GetRecovery(); r != fanoutv1.Connection_NONE {
					t.Errorf("a first connection says %v", r)
				}
				c.Close()
				if e := k.event("DISCONNECTED / transport close"); !e.GetRecoverable() {
					t.Errorf("got %v, want it recoverable", e)
				}
				synctest.Wait()
				time.Sleep(time.Minute)
				e := k.event("RECOVERY_EXPIRED /")
				if e.GetConnectionId() != first.GetConnectionId() || e.GetRecovery() != fanoutv1.Connection_EXPIRED || e.GetSequence() != 3 ||
					e.GetReason() != "" || e.GetCause() != fanoutv1.Event_NONE {
					t.Errorf("got %v", e)
				}
				c = w.knock(`40{"pid":"` + pid + `"}`)
				e = k.event("CONNECTED /")
				if v := e.GetConnection(); v.GetRecovery() != fanoutv1.Connection_EXPIRED || v.GetRecovered() || e.GetConnectionId() == first.GetConnectionId() {
					t.Errorf("got %v", e)
				}
				c.Close()
			})
		})
	}
}

// TestRecoveryExpiredNeedsLifecycle: it ends what lifecycle tells of.
func TestRecoveryExpiredNeedsLifecycle(t *testing.T) {
	inOneNode(t, dispatch.Options{}, func(w *world) {
		k := w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: "g", RecoveryExpired: true}))
		if s := k.ends(codes.InvalidArgument); !strings.Contains(s.Message(), "recovery_expired") {
			t.Errorf("got %v", s)
		}
	})
}

// TestEveryRecoveryIsKnown: what package sio may say has a value of its own.
func TestEveryRecoveryIsKnown(t *testing.T) {
	values := map[fanoutv1.Connection_Recovery]bool{}
	for r := range recoveries {
		values[toRecovery(r)] = true
	}
	if len(values) != len(fanoutv1.Connection_Recovery_name) {
		t.Errorf("%d values are used, of %d", len(values), len(fanoutv1.Connection_Recovery_name))
	}
	if got := toRecovery("of a newer node"); got != fanoutv1.Connection_UNKNOWN {
		t.Errorf("one that is not known: %v", got)
	}
}
