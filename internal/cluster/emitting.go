package cluster

import (
	"context"
	"sync"
)

// emitting is the emits of this node that are under way: whose peers may have been
// chosen, and which are not with the links yet.
type emitting struct {
	mu      sync.Mutex
	current *emitRound // nil: none has begun since the latest wait
}

// emitRound is the emits that began between two waits.
type emitRound struct {
	before *emitRound    // that may not have ended; nil: none
	ended  chan struct{} // closed when no emit of it is under way and none will be

	running int
	closed  bool // no emit joins it
}

// begin notes that an emit begins. The caller calls end with what it returns.
func (e *emitting) begin() *emitRound {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil || e.current.closed {
		e.current = &emitRound{before: e.current, ended: make(chan struct{})}
	}
	e.current.running++
	return e.current
}

func (e *emitting) end(r *emitRound) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.running--; r.running == 0 && r.closed {
		close(r.ended)
	}
}

// wait waits until all emits have ended that had begun before the call. Its error is ctx's.
func (e *emitting) wait(ctx context.Context) error {
	for r := e.closeRound(); r != nil; r = e.beforeOf(r) {
		select {
		case <-r.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// closeRound returns the latest round, which nothing is added to any more; nil: none.
func (e *emitting) closeRound() *emitRound {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.current
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
func (e *emitting) beforeOf(r *emitRound) *emitRound {
	e.mu.Lock()
	defer e.mu.Unlock()
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
