package link

import (
	"math/rand/v2"
	"testing"
)

// TestQueue compares a queue with a slice, and what it holds beside with nothing.
func TestQueue(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // the same each time
		var q queue
		var want []byte
		next := byte(0)
		for range 40 {
			for range random.IntN(300) {
				q.add(piece{data: []byte{next}})
				want = append(want, next)
				next++
			}
			n := random.IntN(len(want) + 1)
			q.remove(n)
			want = want[n:]
			if len(q.pieces) != len(want) {
				t.Fatalf("seed %d: %d pieces, want %d", seed, len(q.pieces), len(want))
			}
			for i, p := range q.pieces {
				if p.data[0] != want[i] {
					t.Fatalf("seed %d: piece %d is %d, want %d", seed, i, p.data[0], want[i])
				}
			}
			held := 0
			for _, p := range q.memory {
				if p.data != nil {
					held++
				}
			}
			if held != len(want) {
				t.Fatalf("seed %d: the memory holds %d pieces, want %d", seed, held, len(want))
			}
		}
	}
}

// TestQueueAllocates shows that a queue that is never empty, and does not grow, allocates
// nothing once it has the memory that it needs.
func TestQueueAllocates(t *testing.T) {
	var q queue
	for range 100 {
		q.add(piece{})
	}
	cycle := func() {
		for range 1000 {
			q.add(piece{})
			q.remove(1)
		}
	}
	cycle()
	if n := testing.AllocsPerRun(10, cycle); n != 0 {
		t.Errorf("%v allocations for 1,000 pieces, want none", n)
	}
}

// TestQueueGivesBack shows that what a burst took is not kept.
func TestQueueGivesBack(t *testing.T) {
	var q queue
	for range 10 * keepPieces {
		q.add(piece{})
	}
	q.remove(10 * keepPieces)
	if len(q.memory) > keepPieces {
		t.Errorf("memory for %d pieces is kept, want %d at most", len(q.memory), keepPieces)
	}
}
