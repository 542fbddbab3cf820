// Package logwriter writes log lines without making those who log wait.
package logwriter

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// Writer queues what is written to it for another writer, which may stall or fail: the
// reader of a pipe hangs, a disk is full. What the queue has no room for, and what the
// other writer does not take, is left out, counted, and told of as soon as something can
// be written again. It is safe for concurrent use.
type Writer struct {
	// Fixed at birth.
	out   io.Writer
	limit int // bytes of the queue; as many may be on their way to out
	note  func(lines uint64) []byte
	more  chan struct{} // holds one: there is something to write, or the end
	ended chan struct{} // closed when all is written after Close

	lost atomic.Uint64 // lines, since the start

	mu      sync.Mutex
	queue   []byte
	omitted uint64 // lines after queue that found no room
	closed  bool
}

// New returns a Writer that queues limit bytes for out, and writes from a goroutine of its
// own, until Close. note makes the line that says how many lines were left out in its place.
func New(out io.Writer, limit int, note func(lines uint64) []byte) *Writer {
	w := &Writer{out: out, limit: limit, note: note, more: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.run()
	return w
}

// Write queues one line, its line break included. It never waits, and never fails.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	switch {
	case w.closed:
		w.lost.Add(1)
	case w.omitted > 0, len(w.queue)+len(line) > w.limit: // the first is so that lines keep their order
		w.lost.Add(1)
		w.omitted++
	default:
		w.queue = append(w.queue, line...)
	}
	w.mu.Unlock()
	w.signal()
	return len(line), nil
}

// Lost returns how many lines were left out since the start.
func (w *Writer) Lost() uint64 { return w.lost.Load() }

// Close takes no more lines, and waits until what is queued is written or ctx is done,
// whose cause it returns. The other writer is left open.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *Writer) signal() {
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// run writes what is queued, until Close.
func (w *Writer) run() {
	defer close(w.ended)
	o := output{to: w.out, note: w.note}
	var free []byte // to be the queue next
	for range w.more {
		w.mu.Lock()
		queued, omitted, closed := w.queue, w.omitted, w.closed
		w.queue, w.omitted = free[:0], 0
		w.mu.Unlock()
		w.lost.Add(o.write(queued))
		o.untold += omitted
		o.write(nil)
		if closed {
			return
		}
		if free = queued; cap(free) > kept {
			free = nil
		}
	}
}

// kept is the size, in bytes, up to which a queue's memory is used again.
const kept = 64 << 10
