package cluster

import (
	"context"
	"sync"
)

// applying is the operations of this node that are under way: whose peers may have been
// chosen, and which are not with the links yet.
type applying struct {
	mu      sync.Mutex
	current *applyRound // nil: none has begun since the latest wait
}

// applyRound is the operations that began between two waits.
type applyRound struct {
	before *applyRound   // that may not have ended; nil: none
	ended  chan struct{} // closed when no operation of it is under way and none will be

	running int
	closed  bool // no operation joins it
}

// begin notes that an operation begins. The caller calls end with what it returns.
func (a *applying) begin() *applyRound {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == nil || a.current.closed {
		a.current = &applyRound{before: a.current, ended: make(chan struct{})}
	}
	a.current.running++
	return a.current
}

func (a *applying) end(r *applyRound) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.running--; r.running == 0 && r.closed {
		close(r.ended)
	}
}

// wait waits until all operations have ended that had begun before the call. Its error is ctx's.
func (a *applying) wait(ctx context.Context) error {
	for r := a.closeRound(); r != nil; r = a.beforeOf(r) {
		select {
		case <-r.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// closeRound returns the latest round, which nothing is added to any more; nil: none.
func (a *applying) closeRound() *applyRound {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.current
	if r != nil && !r.closed {
		r.closed = true
		if r.running == 0 {
			close(r.ended)
		}
	}
	return r
}

// beforeOf returns the round before r, which has ended, and forgets it if that has ended
// too.
func (a *applying) beforeOf(r *applyRound) *applyRound {
	a.mu.Lock()
	defer a.mu.Unlock()
	for r.before != nil {
		select {
		case <-r.before.ended:
			r.before = r.before.before
			continue
		default:
		}
		break
	}
	return r.before
}
