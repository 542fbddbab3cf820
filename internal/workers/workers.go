// Package workers has goroutines that wait a while for more work. Their stacks
// have grown to what the work takes, and growing a new one can cost more than the
// work itself.
package workers

import (
	"sync"
	"sync/atomic"
)

// Pool does one kind of work for as many things at once as come. Create it with
// [New]; it is safe for concurrent use.
type Pool[T any] struct {
	work    func(T)
	next    chan T
	waiting atomic.Int32
	running sync.WaitGroup
}

// maxWaiting bounds the goroutines that wait for something to do.
const maxWaiting = 64

// New returns a pool whose goroutines call work.
func New[T any](work func(T)) *Pool[T] {
	return &Pool[T]{work: work, next: make(chan T)}
}

// Do has the work done for x, at once, by a goroutine that waits or by a new one.
// It must not be called after Stop.
func (p *Pool[T]) Do(x T) {
	select {
	case p.next <- x:
	default:
		p.running.Go(func() { p.run(x) })
	}
}

func (p *Pool[T]) run(x T) {
	for {
		p.work(x)
		if p.waiting.Add(1) > maxWaiting {
			p.waiting.Add(-1)
			return
		}
		var more bool
		x, more = <-p.next
		p.waiting.Add(-1)
		if !more {
			return
		}
	}
}

// Stop ends the goroutines, each when its work is done, and waits for them.
func (p *Pool[T]) Stop() {
	close(p.next)
	p.running.Wait()
}
