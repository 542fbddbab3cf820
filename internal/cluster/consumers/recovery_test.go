package consumers

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// TestRecoveryExpired: a group at one node hears once that a connection of another cannot
// be come back to, also if it was moved; and nothing of one that goes with its node, but
// that it is lost.
func TestRecoveryExpired(t *testing.T) {
	o := dispatch.SubscriptionOptions{Lifecycle: true, RecoveryExpired: true}
	cut := func(n *testNode, connect string) (ws *wiretest.WS, id, pid string) {
		ws = n.listener.MustDialWS(n.t, "EIO=4&transport=websocket")
		ws.Next()
		ws.Say("40" + connect)
		var said struct{ SID, PID string }
		if err := json.Unmarshal([]byte(strings.TrimPrefix(ws.Next(), "40")), &said); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		ws.Close()
		time.Sleep(time.Second)
		return ws, said.SID, said.PID
	}
	t.Run("at its node", func(t *testing.T) {
		inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
			c := nodes[0].consume(o)
			other := nodes[0].consume(dispatch.SubscriptionOptions{Group: "other", Lifecycle: true})
			_, id, _ := cut(nodes[1], "")
			time.Sleep(time.Hour)
			want := []string{"connected", "disconnected transport close", "recovery expired"}
			if got := c.heardOf(id); !slices.Equal(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
			if got := other.heardOf(id); !slices.Equal(got, want[:2]) {
				t.Errorf("who did not ask heard %q", got)
			}
		})
	})
	t.Run("after it was moved", func(t *testing.T) {
		inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
			c := nodes[0].consume(o)
			_, id, pid := cut(nodes[1], "")
			_, again, _ := cut(nodes[2], `{"pid":"`+pid+`"}`)
			if again != id {
				t.Error("it is somebody new")
			}
			time.Sleep(time.Hour)
			want := []string{
				"connected", "disconnected transport close", "returned", "disconnected transport close", "recovery expired",
			}
			if got := c.heardOf(id); !slices.Equal(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
		})
	})
	t.Run("after it was handed over", func(t *testing.T) {
		inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
			c := nodes[0].consume(o)
			_, id, _ := cut(nodes[1], "")
			if err := nodes[1].server.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			if n := nodes[1].node.HandOver(context.Background()); n != 1 {
				t.Errorf("%d were handed over", n)
			}
			nodes[1].stop()
			time.Sleep(time.Hour)
			want := []string{"connected", "disconnected transport close", "recovery expired"}
			if got := c.heardOf(id); !slices.Equal(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
		})
	})
	t.Run("its node dies", func(t *testing.T) {
		inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
			c := nodes[0].consume(o)
			_, away, _ := cut(nodes[1], "")
			ws, there := nodes[1].listener.Connect(t, "")
			ws.Idle()
			time.Sleep(time.Second)
			memory.Freeze("n2")
			time.Sleep(10 * time.Minute)
			if got, want := c.heardOf(away), []string{"connected", "disconnected transport close"}; !slices.Equal(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
			if got, want := c.heardOf(there), []string{"connected", "disconnected node lost"}; !slices.Equal(got, want) {
				t.Errorf("heard %q, want %q", got, want)
			}
			ws.Close()
			memory.Thaw("n2")
			time.Sleep(time.Minute)
		})
	})
}
