package control

import (
	"context"
	"sync"

	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// maxErrorBacklog bounds the refusals that wait to be sent on one stream: past
// it a caller that does not read its answers is not read either. The contract
// states it.
const maxErrorBacklog = 1024

// acks collects what one EmitStream has to report. Its receiver adds to it;
// its sender takes whatever has gathered since the last time, so the slower
// the caller reads, the more items one answer covers.
type acks struct {
	wake    chan struct{} // holds one: there is something to send
	emptied chan struct{} // holds one: the backlog of errors is empty again

	mu       sync.Mutex
	through  uint64
	errors   []*fanoutv1.EmitStreamResponse_Error
	finished bool // nothing more will be added
}

func newAcks() *acks {
	return &acks{wake: make(chan struct{}, 1), emptied: make(chan struct{}, 1)}
}

// add notes that item sequence has been dealt with, err being a gRPC status,
// and that all items up to through have. It blocks while too many errors wait,
// until ctx ends.
func (a *acks) add(ctx context.Context, through, sequence uint64, err error) error {
	a.mu.Lock()
	for err != nil && len(a.errors) >= maxErrorBacklog {
		a.mu.Unlock()
		select {
		case <-a.emptied:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		a.mu.Lock()
	}
	a.through = through
	if err != nil {
		a.errors = append(a.errors, &fanoutv1.EmitStreamResponse_Error{Sequence: sequence, Status: fromStatus(status.Convert(err))})
	}
	a.mu.Unlock()
	signal(a.wake)
	return nil
}

// finish ends send, once it has sent what there is.
func (a *acks) finish() {
	a.mu.Lock()
	a.finished = true
	a.mu.Unlock()
	signal(a.wake)
}

// send sends what is added, and once that draining is closed, until finish or
// until the stream breaks, which ends the receiver too.
func (a *acks) send(stream emitStream, draining <-chan struct{}) error {
	var sent fanoutv1.EmitStreamResponse // the latest; what it says stays true
	for {
		next := &fanoutv1.EmitStreamResponse{Draining: sent.GetDraining()}
		select {
		case <-a.wake:
		case <-draining:
			next.Draining, draining = true, nil
		}
		var finished bool
		next.AckedThrough, next.Errors, finished = a.take()
		if news := next.GetAckedThrough() != sent.GetAckedThrough() ||
			next.GetDraining() != sent.GetDraining() || len(next.GetErrors()) > 0; news {
			if err := stream.Send(next); err != nil {
				return err
			}
			sent.AckedThrough, sent.Draining = next.GetAckedThrough(), next.GetDraining()
		}
		if finished {
			return nil
		}
	}
}

// take empties the backlog.
func (a *acks) take() (through uint64, errors []*fanoutv1.EmitStreamResponse_Error, finished bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	through, errors, finished = a.through, a.errors, a.finished
	a.errors = nil
	signal(a.emptied)
	return through, errors, finished
}

// signal leaves a note in c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
