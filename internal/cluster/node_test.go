package cluster

import (
	"context"
	"testing"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/control/hubtest"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// applied is a Hub whose emits are answered by all nodes.
type applied struct{ *Node }

func (a applied) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	if e, ok := op.(sio.Emit); ok {
		e.Applied = true
		op = e
	}
	return a.Node.Apply(ctx, op)
}

// TestHub: a Node is a Hub, whichever it is, and wherever the connections are.
func TestHub(t *testing.T) {
	for name, number := range map[string]int{"alone": 1, "two": 2, "three": 3} {
		t.Run(name, func(t *testing.T) {
			hubtest.Test(t, func(t *testing.T) hubtest.Fixture {
				nodes := startNodes(t, bus.NewMemory(), number)
				next := 0
				return hubtest.Fixture{
					Hub: applied{nodes[number-1].Node}, Nodes: []string{"n1", "n2", "n3"},
					Connect: func(namespace, user string, rooms ...string) string {
						c, id := nodes[next%number].connect(namespace, user, rooms...)
						next++
						t.Cleanup(func() { c.Close() })
						return id
					},
				}
			})
		})
	}
}
