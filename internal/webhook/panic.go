package webhook

import (
	"fmt"
	"runtime/debug"
)

// panicError is a panic, which must not end the process for the sake of one event.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }

// guarded calls f; its error is a *panicError if f panics.
func guarded[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f()
}

// logPanic logs err if it is a panic.
func (m *member) logPanic(err error) {
	if p, ok := err.(*panicError); ok { //nolint:errorlint // as guarded returns it
		m.log.Error("a panic while a webhook was called", "panic", fmt.Sprint(p.value), "stack", string(p.stack))
	}
}
