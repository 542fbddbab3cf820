package control

import (
	"context"
	"errors"

	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/idempotency"
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

// change is an operation that a caller asks for.
type change struct {
	op  sio.Op
	key string // its idempotency key; empty: none
}

// submit carries out a change, and answers by what the Hub does. Only one without a key may
// have to be waited for.
func submit[T any](ctx context.Context, hub Hub, keys Keys, p *problems, c change, answer func(res sio.Result, duplicate bool, err error) (T, error)) pending[T] {
	if c.key != "" {
		key := idempotency.Key{Caller: identity.FromContext(ctx).Name, Key: c.key}
		res, duplicate, err := keys.Once(ctx, key, fingerprintOf(c.op), func() (sio.Result, error) { return hub.Apply(ctx, c.op) })
		if errors.Is(err, idempotency.ErrOtherContent) {
			return failed[T](invalid(p, "idempotency_key", "was used for a request with other content"))
		}
		return done(answer(res, duplicate, err))
	}
	first := func(res sio.Result, err error) (T, error) { return answer(res, false, err) }
	s, ok := hub.(Submitter)
	if !ok {
		return done(first(hub.Apply(ctx, c.op)))
	}
	result, wait, err := s.Submit(ctx, c.op)
	if wait == nil {
		return done(first(result, err))
	}
	return pending[T]{wait: func() (T, error) { return first(wait()) }}
}
