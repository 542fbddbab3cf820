package control

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// panicError is a panic that [Recover] caught.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }

// Recover calls f and returns its error, or one that stands for a panic in it,
// for an [ErrorReporter] to code and to log. The goroutines that a call starts
// need it as much as the call: their panics would end the process.
func Recover(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return f()
}

// streamGoroutines are the goroutines of one service's bidirectional streams. They
// may hang in their stream, which frees them only when the call has returned, so
// no call can wait for its own.
type streamGoroutines struct {
	errors *ErrorReporter
	sync.WaitGroup
}

// start runs f, which is part of a call of this method, on a goroutine that
// outlives the call by no more than it takes to see its end. The channel gets f's
// error, coded.
func (g *streamGoroutines) start(ctx context.Context, method string, f func() error) <-chan error {
	ended := make(chan error, 1)
	g.Go(func() { ended <- g.errors.Code(ctx, method, Recover(f)) })
	return ended
}
