package control

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// pending is what becomes of a change that has its place in the order of its caller's: what
// is done next comes after it. Most are done by then, and pay for nothing else.
type pending struct {
	applied
	err  error
	wait func() (applied, error) // nil: applied and err are it
}

// applied is what a change did.
type applied struct {
	sio.Result
	duplicate bool // nothing: it had been done
}

// get returns what the change did, which it may have to wait for. It is to be called once.
func (p pending) get() (applied, error) {
	if p.wait != nil {
		return p.wait()
	}
	return p.applied, p.err
}

// then has told called with what the change did, before get returns it.
func (p pending) then(told func(applied)) pending {
	if wait := p.wait; wait != nil {
		p.wait = func() (applied, error) {
			a, err := wait()
			if err == nil {
				told(a)
			}
			return a, err
		}
	} else if p.err == nil {
		told(p.applied)
	}
	return p
}

// answer is what a change did as its own RPC answers it.
func answer[T any](p pending, of func(applied) *T) (*T, error) {
	a, err := p.get()
	if err != nil {
		return nil, err
	}
	return of(a), nil
}

// done is an operation that is over, and has failed unless err is nil.
func done(err error) pending { return pending{err: err} }

// change is an operation that a caller asks for.
type change struct {
	op  sio.Op
	key string // its idempotency key; empty: none
}

// submit carries out a change, which the Hub answers. Only one without a key may have to be
// waited for.
func submit(ctx context.Context, hub Hub, keys Keys, c change) (p pending) {
	if c.key != "" {
		key := idempotency.Key{Caller: identity.FromContext(ctx).Name, Key: c.key}
		p.Result, p.duplicate, p.err = keys.Once(ctx, key, fingerprintOf(c.op), func() (sio.Result, error) { return hub.Apply(ctx, c.op) })
		return p
	}
	s, ok := hub.(Submitter)
	if !ok {
		p.Result, p.err = hub.Apply(ctx, c.op)
		return p
	}
	result, wait, err := s.Submit(ctx, c.op)
	p.Result, p.err = result, err
	if wait != nil {
		p.wait = func() (applied, error) {
			result, err := wait()
			return applied{Result: result}, err
		}
	}
	return p
}

// carryOut submits a change of a target's connections, which the message that p is about asks
// for; args are those of an emit.
func carryOut(ctx context.Context, hub Hub, keys Keys, p *problems, c change, args arguments) pending {
	if p.any() {
		checkNamespace(ctx, hub, p, sio.TargetOf(c.op).Namespace, "to.namespace")
		return done(p.err())
	}
	done := submit(ctx, hub, keys, c)
	if wait := done.wait; wait != nil {
		p := *p // which its caller has in no heap but here
		done.wait = func() (applied, error) {
			a, err := wait()
			return a, changeError(err, &p, args)
		}
	}
	done.err = changeError(done.err, p, args)
	return done
}

// changeError codes what the Hub answered to a change of a target's connections.
func changeError(err error, p *problems, args arguments) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sio.ErrTooLarge):
		return tooLarge(p, args)
	case errors.Is(err, sio.ErrTooManyRooms), errors.Is(err, sio.ErrTooMuchData):
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	return hubError(err, p, "to.namespace")
}
