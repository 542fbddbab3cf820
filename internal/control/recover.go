package control

import (
	"fmt"
	"runtime/debug"
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
