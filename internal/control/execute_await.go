package control

import (
	"context"
	"sync"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/stack"
)

// The commands of Execute that await what browsers, or other backends, answer.

// awaited is the last result of such a command.
type awaited struct {
	answer *fanoutv1.OperationResult
	err    error
}

// await carries out a command, named after this method, by run on a goroutine of its own, and returns when its event
// has its place in the order, which run tells by placed, or when it has ended.
func (x *execution) await(method string, run func(ctx context.Context, placed func()) awaited) error {
	sequence := x.last
	if err := requireScopeOf(x.ctx, method); err != nil {
		return x.done(executed{sequence: sequence, through: sequence, result: refused(err)})
	}
	if err := x.results.room(x.ctx); err != nil { // for what comes of it, which waits for none
		return err
	}
	ctx, ok := x.begin(sequence)
	if !ok {
		return x.done(executed{sequence: sequence, through: sequence, result: refused(errTooManyAwaited)})
	}
	placed := make(chan struct{})
	place := sync.OnceFunc(func() { close(placed) })
	x.awaiting.Add(1)
	x.emitter.streams.Go(func() {
		stack.Reserve()
		defer x.awaiting.Done()
		defer place()
		defer x.cancel(sequence)
		var end awaited
		if err := Recover(func() error { end = run(ctx, place); return nil }); err != nil {
			end.err = err
		}
		x.results.end(sequence, x.toResult(end.answer, end.err), x.toResult(nil, errNoAnswer))
	})
	<-placed // or it has ended, as it does with the stream
	return x.done(executed{sequence: sequence, through: sequence, silent: true})
}

// begin returns the context of a command that awaits browsers; false: there are too many.
func (x *execution) begin(sequence uint64) (context.Context, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.cancels) >= maxAwaiting {
		return nil, false
	}
	ctx, cancel := context.WithCancel(x.ctx)
	x.cancels[sequence] = cancel
	return ctx, true
}

// cancel ends a command that awaits browsers, if there is one with this number.
func (x *execution) cancel(sequence uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if cancel := x.cancels[sequence]; cancel != nil {
		cancel()
		delete(x.cancels, sequence)
	}
}

func (x *execution) call(ctx context.Context, m *fanoutv1.CallRequest, at string, placed func()) awaited {
	p := problemsOf(ctx, at)
	request, err := x.emitter.toCall(ctx, &p, m)
	if err != nil {
		return awaited{err: err}
	}
	request.Placed = placed
	answer, err := x.emitter.call(ctx, &p, m, request)
	return awaited{&fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Call{Call: answer}}, err}
}

func (x *execution) publish(ctx context.Context, m *fanoutv1.PublishRequest, at string, placed func()) awaited {
	p := x.emitter.publish(ctx, m, place{inner: at})
	placed()
	answer, err := p.get()
	return awaited{publishResult(answer), err}
}

// emitWithAck reports who is asked and what becomes of each connection. Browsers are not
// held up: an answer that there is no room for counts as late.
func (x *execution) emitWithAck(ctx context.Context, sequence uint64, m *fanoutv1.EmitWithAckRequest, at string, placed func()) awaited {
	p := problemsOf(ctx, at)
	request, err := x.emitter.toAckRequest(ctx, &p, m)
	if err != nil {
		return awaited{err: err}
	}
	tell := func(r *fanoutv1.EmitWithAckResponse, must bool) bool {
		return x.results.outcome(&fanoutv1.ExecuteResponse_Result{Sequence: sequence, Result: ackResult(r)}, must)
	}
	request.Placed = placed
	request.Sent = func(s sio.AckSummary) { tell(fromStarted(s), true) }
	dropped := 0
	var end ackEnd
	end.summary, end.err = x.emitter.hub.EmitWithAck(ctx, request, func(o sio.AckResult) bool {
		if !tell(fromResult(&o, m.GetDecode()), false) && o.Outcome == sio.Answered {
			dropped++
		}
		return true
	})
	end.summary.Answered -= dropped
	end.summary.TimedOut += dropped
	summary, err := end.response(&p, m)
	return awaited{ackResult(summary), err}
}

func ackResult(m *fanoutv1.EmitWithAckResponse) *fanoutv1.OperationResult {
	return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_EmitWithAck{EmitWithAck: m}}
}
