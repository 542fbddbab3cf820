package bus_test

import (
	"fmt"
	"testing"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/bus/bustest"
)

func TestMemoryIsABus(t *testing.T) {
	bustest.Run(t, func(t *testing.T, n int) []bus.Bus {
		m := bus.NewMemory()
		nodes := make([]bus.Bus, n)
		for i := range nodes {
			nodes[i] = m.Join(fmt.Sprint("node", i))
			t.Cleanup(func() { nodes[i].Close() })
		}
		return nodes
	})
}
