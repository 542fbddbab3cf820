package webhook

import (
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/metrics"
)

// Stats are the counts of each group, since its first endpoint of this process.
type Stats struct {
	Groups map[string]GroupStats
}

// GroupStats counts the requests of one group's endpoints.
type GroupStats struct {
	Outcomes map[string]uint64    // requests that have ended, by what became of the event
	InFlight int                  // requests under way
	Duration metrics.Distribution // of those that have ended
	// Operations that answers asked for, and that failed.
	Operations, OperationsFailed uint64
}

// The outcomes.
const (
	handled     = "handled"
	unavailable = "unavailable" // the endpoint is: the event comes again
	failed      = "failed"      // the event has: it comes again, or is a dead letter
	rejected    = "rejected"    // for good: it is a dead letter
	cancelled   = "cancelled"   // the event was taken back meanwhile
)

var outcomes = []string{handled, unavailable, failed, rejected, cancelled}

// counts are those of one group.
type counts struct {
	outcomes                     metrics.Labeled
	inFlight                     atomic.Int64
	duration                     *metrics.Histogram
	operations, operationsFailed atomic.Uint64
}

func newCounts() *counts {
	c := &counts{duration: metrics.NewHistogram(
		5*time.Millisecond, 10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond,
		250*time.Millisecond, 500*time.Millisecond, time.Second, 2500*time.Millisecond, 5*time.Second, 10*time.Second, 30*time.Second,
	)}
	for _, o := range outcomes {
		c.outcomes.Add(o, 0)
	}
	return c
}

func (c *counts) stats() GroupStats {
	return GroupStats{
		Outcomes: c.outcomes.All(), InFlight: int(c.inFlight.Load()), Duration: c.duration.Distribution(),
		Operations: c.operations.Load(), OperationsFailed: c.operationsFailed.Load(),
	}
}
