package cluster

import (
	"slices"
	"testing"
	"time"
)

// TestPlanOfARound: who has more than the mean closes it at a pace that stays, and never
// goes below the mean; a little more is even.
func TestPlanOfARound(t *testing.T) {
	excess := map[string]float64{}
	round := func(sessions ...int) (closing []int, even bool) {
		nodes := make([]Load, len(sessions))
		for i, n := range sessions {
			nodes[i] = Load{Name: string(rune('a' + i)), Sessions: n}
		}
		even = plan(nodes, 4*rebalanceRound, excess)
		for _, at := range nodes {
			closing = append(closing, at.Closing)
		}
		return closing, even
	}
	for _, step := range []struct {
		sessions, closing []int
		even              bool
	}{
		{[]int{1000, 1000, 1000, 0, 0}, []int{100, 100, 100, 0, 0}, false},
		{[]int{960, 960, 960, 60, 60}, []int{100, 100, 100, 0, 0}, false}, // some came back
		{[]int{680, 640, 629, 500, 551}, []int{80, 40, 0, 0, 0}, false},
		{[]int{629, 630, 630, 555, 556}, []int{0, 0, 0, 0, 0}, true},
		{[]int{2, 1, 0, 0, 0}, []int{0, 0, 0, 0, 0}, true},
		{[]int{0, 0, 0, 0, 0}, []int{0, 0, 0, 0, 0}, true},
	} {
		if closing, even := round(step.sessions...); !slices.Equal(closing, step.closing) || even != step.even {
			t.Errorf("%d: to close %d, even: %v; want %d, %v", step.sessions, closing, even, step.closing, step.even)
		}
	}
	if over := time.Duration(0); !plan(nil, over, excess) {
		t.Error("no node at all is not even")
	}
}
