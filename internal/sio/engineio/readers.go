package engineio

import (
	"sync"
	"sync/atomic"
)

// readers are the goroutines that read from WebSockets that are not silent.
// One that has nothing to do waits a while for the next: its stack has grown to
// what reading takes, and growing a new one costs more than reading a message.
type readers struct {
	next    chan *wsConn
	waiting atomic.Int32
	running sync.WaitGroup
}

// maxWaiting bounds the readers that wait for something to read.
const maxWaiting = 64

func newReaders() *readers { return &readers{next: make(chan *wsConn)} }

// start has a connection read.
func (r *readers) start(t *wsConn) {
	select {
	case r.next <- t:
	default:
		r.running.Go(func() { r.read(t) })
	}
}

func (r *readers) read(t *wsConn) {
	for {
		t.read()
		if r.waiting.Add(1) > maxWaiting {
			r.waiting.Add(-1)
			return
		}
		var more bool
		t, more = <-r.next
		r.waiting.Add(-1)
		if !more {
			return
		}
	}
}

// stop ends the readers when there is no connection any more, and waits for them.
func (r *readers) stop() {
	close(r.next)
	r.running.Wait()
}
