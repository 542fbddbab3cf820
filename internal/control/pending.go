package control

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// pending is the answer to an operation that has its place in the order of its caller's:
// what is done next comes after it.
type pending[T any] struct {
	answer T
	err    error
	wait   func() (T, error) // nil: answer and err are it
}

// get returns the answer, which it may have to wait for. It is to be called once.
func (p pending[T]) get() (T, error) {
	if p.wait != nil {
		return p.wait()
	}
	return p.answer, p.err
}

// failed is the answer to an operation that was not carried out.
func failed[T any](err error) pending[T] { return pending[T]{err: err} }

// done is an answer that is there.
func done[T any](answer T, err error) pending[T] { return pending[T]{answer: answer, err: err} }

// submit carries out op, and answers by what the Hub does.
func submit[T any](ctx context.Context, hub Hub, op sio.Op, answer func(sio.Result, error) (T, error)) pending[T] {
	s, ok := hub.(Submitter)
	if !ok {
		return done(answer(hub.Apply(ctx, op)))
	}
	result, wait, err := s.Submit(ctx, op)
	if wait == nil {
		return done(answer(result, err))
	}
	return pending[T]{wait: func() (T, error) { return answer(wait()) }}
}
