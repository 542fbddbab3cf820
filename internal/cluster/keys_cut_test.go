package cluster

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// cutOffBetween has the first of three nodes do work under a key of the third, from which
// it is cut off before that is done.
func cutOffBetween(t *testing.T, memory *bus.Memory, nodes []*testNode, w *work, key string) {
	t.Helper()
	w.took = 10 * time.Second
	var working sync.WaitGroup
	working.Go(func() { w.want(nodes[0], key, false) })
	time.Sleep(time.Second)
	cutOff(memory, "n1", "n3")
	working.Wait()
	w.took = 0
}

// TestKeysOwnerCutOffBetween: the owner of a key that could not be told in time that the
// work is done is told when it can be.
func TestKeysOwnerCutOffBetween(t *testing.T) {
	for name, second := range map[string]int{"the second did it": 0, "the second did not do it": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				nodes := startNodes(t, memory, 3)
				afterJoins() // or the owner would ask the others
				w := newWork(t)
				key := keyOf(nodes[0], nodes[2], nodes[second])
				cutOffBetween(t, memory, nodes, w, key)
				heal(memory, "n1", "n3")
				settle()
				time.Sleep(2 * keyLease)
				w.want(nodes[1], key, true)
				w.wantTimes(key, 1)
			})
		})
	}
}

// TestKeysDoneBeyondACut: who asks for a key that is in progress, as far as its owner knows,
// does not wait longer than what is done under it may take.
func TestKeysDoneBeyondACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		afterJoins()
		w := newWork(t)
		key := keyOf(nodes[0], nodes[2], nodes[0])
		cutOffBetween(t, memory, nodes, w, key)
		settle()
		began := time.Now()
		w.wantAway(nodes[1], key, "n1")
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(30 * time.Second)
		w.wantAway(nodes[1], key, "n1")
		heal(memory, "n1", "n3")
		settle()
		w.want(nodes[1], key, true)
		w.wantTimes(key, 1)
	})
}
