package control

import (
	"context"
	"errors"
	"maps"
	"slices"
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

// await begins a command, named after this method. start carries it out: it returns when the
// event has its place in the order, and has the command end by end.
func (x *execution) await(method string, start func(sequence uint64)) error {
	sequence := x.last
	if err := requireScopeOf(x.ctx, method); err != nil {
		return x.done(executed{sequence: sequence, through: sequence, result: refused(err)})
	}
	if err := x.results.room(x.ctx); err != nil { // for what comes of it, which waits for none
		return err
	}
	if !x.begin(sequence) {
		return x.done(executed{sequence: sequence, through: sequence, result: refused(errTooManyAwaited)})
	}
	start(sequence)
	return x.done(executed{sequence: sequence, through: sequence, silent: true})
}

// begin notes a command that awaits something; false: there are too many.
func (x *execution) begin(sequence uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.cancels) >= maxAwaiting {
		return false
	}
	x.cancels[sequence] = func() {}
	x.awaiting.Add(1)
	return true
}

// end tells the last result of a command that has begun. It never blocks.
func (x *execution) end(sequence uint64, end awaited) {
	defer x.awaiting.Done()
	x.mu.Lock()
	delete(x.cancels, sequence)
	x.mu.Unlock()
	x.results.end(sequence, x.toResult(end.answer, end.err))
}

// cancelBy has a command that has begun canceled by f, unless it has ended.
func (x *execution) cancelBy(sequence uint64, f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cancels[sequence] != nil {
		x.cancels[sequence] = f
	}
}

// cancel ends a command that awaits something, if there is one with this number.
func (x *execution) cancel(sequence uint64) {
	x.mu.Lock()
	cancel := x.cancels[sequence]
	delete(x.cancels, sequence)
	x.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// cancelAll ends all commands that await something.
func (x *execution) cancelAll() {
	x.mu.Lock()
	cancels := slices.Collect(maps.Values(x.cancels))
	x.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
}

// run carries out a command by f, on a goroutine of its own, and returns when its event has
// its place in the order, which f tells by placed, or when it has ended.
func (x *execution) run(sequence uint64, f func(ctx context.Context, placed func()) awaited) {
	ctx, cancel := context.WithCancel(x.ctx)
	x.cancelBy(sequence, cancel)
	placed := make(chan struct{})
	place := sync.OnceFunc(func() { close(placed) })
	x.emitter.streams.Go(func() {
		stack.Reserve()
		defer place()
		defer cancel()
		var end awaited
		if err := Recover(func() error { end = f(ctx, place); return nil }); err != nil {
			end.err = err
		}
		x.end(sequence, end)
	})
	<-placed // or it has ended, as it does with the stream
}

// call carries out a Call without a goroutine, if the Hub can ask the connection so.
func (x *execution) call(sequence uint64, m *fanoutv1.CallRequest, at string) {
	c := &calling{x: x, sequence: sequence, decode: m.GetDecode()}
	var request sio.AckRequest
	err := Recover(func() (err error) {
		p := problemsOf(x.ctx, at)
		if request, err = x.emitter.toCall(x.ctx, &p, m); err == nil {
			err = c.ask(&p, m, request)
		}
		return err
	})
	switch {
	case errors.Is(err, sio.ErrElsewhere):
		x.callElsewhere(sequence, m, at, request)
	case err != nil:
		c.end(func() (*fanoutv1.CallResponse, error) { return nil, err })
	}
}

// callElsewhere carries out a Call that was converted to request, on a goroutine.
func (x *execution) callElsewhere(sequence uint64, m *fanoutv1.CallRequest, at string, request sio.AckRequest) {
	x.run(sequence, func(ctx context.Context, placed func()) awaited {
		p := problemsOf(ctx, at)
		request.Placed = placed
		return callResult(x.emitter.call(ctx, &p, m, request))
	})
}

// calling is a Call that the Hub asks the connection of.
type calling struct {
	x        *execution
	sequence uint64
	decode   bool
	once     sync.Once // the command ends, also by a Hub that panics when it has asked
}

// ask has the Hub ask the connection. Error: ErrElsewhere, or what the command ends with.
func (c *calling) ask(p *problems, m *fanoutv1.CallRequest, request sio.AckRequest) error {
	hub, ok := c.x.emitter.hub.(Caller)
	if !ok {
		return sio.ErrElsewhere
	}
	cancel, err := hub.Call(c.x.ctx, request, func(r sio.AckResult) {
		c.end(func() (*fanoutv1.CallResponse, error) { return callResponse(&r, c.decode) })
	})
	switch {
	case errors.Is(err, sio.ErrElsewhere):
		return err
	case err != nil:
		return callError(err, p, m)
	}
	c.x.cancelBy(c.sequence, cancel)
	return nil
}

// end ends the command with what of returns, or its panic.
func (c *calling) end(of func() (*fanoutv1.CallResponse, error)) {
	c.once.Do(func() {
		var answer *fanoutv1.CallResponse
		err := Recover(func() (err error) { answer, err = of(); return err })
		c.x.end(c.sequence, callResult(answer, err))
	})
}

func callResult(answer *fanoutv1.CallResponse, err error) awaited {
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
