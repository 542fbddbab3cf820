package control

import (
	"context"
	"errors"
	"io"
	"maps"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

type executeStream = grpc.BidiStreamingServer[fanoutv1.ExecuteRequest, fanoutv1.ExecuteResponse]

const (
	// maxPipelined bounds the commands of a stream that other nodes have not answered.
	maxPipelined = 1024

	// maxAwaiting bounds the commands of a stream that await browsers; the contract
	// states it. Each has a goroutine.
	maxAwaiting = 4096

	// minTidy is how many rooms of Joins are kept before it is looked which are answered.
	minTidy = 1024
)

// execution is one stream of Execute. One goroutine reads the commands and submits them in
// order; one takes the answers of other nodes in that order; one sends results; and each
// command that awaits browsers has one besides.
type execution struct {
	emitter *Emitter
	ctx     context.Context
	stream  executeStream
	results *results
	answers chan executed // in the order of the stream: what is not answered yet, and all behind it

	// The reader's.
	last     uint64            // sequence
	errors   bool              // only results that are not OK are sent
	behind   uint64            // how many went to answers
	joined   map[string]uint64 // by namespace and room, Joins that may not be answered: up to which of behind
	tidyAt   int               // how many of joined make it worth to drop those that are answered
	awaiting sync.WaitGroup

	answered atomic.Uint64 // how many of behind are
	progress chan struct{} // holds one: answered has changed

	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc // of commands that await browsers
}

// executed is a command that was submitted.
type executed struct {
	sequence uint64
	through  uint64 // so far commands have been submitted
	result   result
	silent   bool // it awaits browsers: its results come from there
}

// Execute ends as EmitStream does.
func (e *Emitter) Execute(stream executeStream) error {
	x := &execution{
		emitter: e, ctx: stream.Context(), stream: stream, results: newResults(),
		answers: make(chan executed, maxPipelined), progress: make(chan struct{}, 1),
		joined: map[string]uint64{}, tidyAt: minTidy, cancels: map[uint64]context.CancelFunc{},
	}
	return e.twoWay(x.ctx, fanoutv1.EmitterService_Execute_FullMethodName, x.receive, func() error { return x.results.send(stream, e.draining) })
}

// receive carries out commands until the caller has closed its side, and all is answered,
// which is nil, or the stream breaks.
func (x *execution) receive() error {
	defer x.results.finish() // after a panic too
	taken := x.emitter.streams.start(x.ctx, fanoutv1.EmitterService_Execute_FullMethodName, x.takeAnswers)
	err := Recover(x.read)
	close(x.answers)
	if takeErr := <-taken; err == nil {
		err = takeErr
	}
	if err == nil {
		x.awaiting.Wait()
	}
	return err
}

// read reads the stream to its end.
func (x *execution) read() error {
	for first := true; ; first = false {
		m, err := x.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch m := m.GetRequest().(type) {
		case *fanoutv1.ExecuteRequest_Command_:
			err = x.command(m.Command)
		case *fanoutv1.ExecuteRequest_Cancel_:
			x.cancel(m.Cancel.GetSequence())
		case *fanoutv1.ExecuteRequest_Open_:
			err = x.open(m.Open, first)
		default:
			err = invalid(&problems{}, "request", "must not be empty")
		}
		if err != nil {
			return err
		}
	}
}

func (x *execution) open(m *fanoutv1.ExecuteRequest_Open, first bool) error {
	if !first {
		return invalid(&problems{}, "open", "must be the first message")
	}
	switch m.GetResults() {
	case fanoutv1.ExecuteRequest_Open_ALL:
	case fanoutv1.ExecuteRequest_Open_ERRORS:
		x.errors = true
	default:
		return invalid(&problems{at: "open"}, "results", "%d is no value of this field", m.GetResults())
	}
	return nil
}

// command submits one command.
func (x *execution) command(m *fanoutv1.ExecuteRequest_Command) error {
	if m.GetSequence() <= x.last {
		refused := failed[*fanoutv1.OperationResult](invalid(&problems{at: "command"}, "sequence", "%d does not come after %d", m.GetSequence(), x.last))
		return x.done(executed{sequence: m.GetSequence(), through: x.last, result: refused})
	}
	x.last = m.GetSequence()
	op := m.GetOperation()
	if err := x.letJoin(targetOf(op)); err != nil {
		return err
	}
	const at = "command.operation"
	switch kind := op.GetOperation().(type) {
	case *fanoutv1.Operation_EmitWithAck:
		sequence := x.last
		return x.await(fanoutv1.EmitterService_EmitWithAck_FullMethodName, func(ctx context.Context, placed func()) awaited {
			return x.emitWithAck(ctx, sequence, kind.EmitWithAck, at+".emit_with_ack", placed)
		})
	case *fanoutv1.Operation_Call:
		return x.await(fanoutv1.EmitterService_Call_FullMethodName, func(ctx context.Context, placed func()) awaited { return x.call(ctx, kind.Call, at+".call", placed) })
	case *fanoutv1.Operation_Join:
		r := x.emitter.operation(x.ctx, op, at)
		err := x.done(executed{sequence: x.last, through: x.last, result: r})
		if r.wait != nil {
			x.joins(kind.Join)
		}
		return err
	}
	return x.done(executed{sequence: x.last, through: x.last, result: x.emitter.operation(x.ctx, op, at)})
}

// done hands over a command that is submitted: its result is sent in its turn.
func (x *execution) done(c executed) error {
	if c.result.wait == nil && x.answered.Load() == x.behind {
		return x.report(c)
	}
	x.behind++
	select {
	case x.answers <- c:
		return nil
	case <-x.ctx.Done():
		if c.result.wait != nil { // which ends now
			_, _ = c.result.get()
		}
		return status.FromContextError(x.ctx.Err()).Err()
	}
}

// takeAnswers takes what other nodes answer, and whatever came behind that, in order.
func (x *execution) takeAnswers() error {
	var err error
	for c := range x.answers {
		if err == nil {
			err = x.report(c)
		} else if c.result.wait != nil {
			_, _ = c.result.get()
		}
		x.answered.Add(1)
		signal(x.progress)
	}
	return err
}

// report has the result of a command sent, if it is to be.
func (x *execution) report(c executed) error {
	var r *fanoutv1.ExecuteResponse_Result
	if !c.silent {
		var answer *fanoutv1.OperationResult
		err := Recover(func() (err error) { answer, err = c.result.get(); return err })
		if err != nil || !x.errors {
			r = &fanoutv1.ExecuteResponse_Result{Sequence: c.sequence, Last: true, Result: x.toResult(answer, err)}
		}
	}
	return x.results.add(x.ctx, c.through, r)
}

func (x *execution) toResult(answer *fanoutv1.OperationResult, err error) *fanoutv1.OperationResult {
	return x.emitter.toResult(x.ctx, fanoutv1.EmitterService_Execute_FullMethodName, answer, err)
}

// roomKey names a room among those of all namespaces.
func roomKey(namespace, room string) string { return namespaceName(namespace) + "\x00" + room }

// joins notes the rooms of the Join that was handed over last.
func (x *execution) joins(m *fanoutv1.JoinRequest) {
	if len(x.joined) >= x.tidyAt {
		answered := x.answered.Load()
		maps.DeleteFunc(x.joined, func(_ string, join uint64) bool { return join <= answered })
		x.tidyAt = max(minTidy, 2*len(x.joined))
	}
	for _, room := range m.GetRooms() {
		x.joined[roomKey(m.GetTo().GetNamespace(), room)] = x.behind
	}
}

// letJoin waits until Joins of rooms that the target names are answered: before that it is
// not known of other nodes that they have members of these rooms.
func (x *execution) letJoin(to *fanoutv1.Target) error {
	if len(x.joined) == 0 {
		return nil
	}
	var upTo uint64
	for _, room := range to.GetRooms() {
		upTo = max(upTo, x.joined[roomKey(to.GetNamespace(), room)])
	}
	for x.answered.Load() < upTo {
		select {
		case <-x.progress:
		case <-x.ctx.Done():
			return status.FromContextError(x.ctx.Err()).Err()
		}
	}
	if x.answered.Load() == x.behind {
		clear(x.joined)
	}
	return nil
}

// targetOf is whom an operation means by rooms; nil: it names none.
func targetOf(m *fanoutv1.Operation) *fanoutv1.Target {
	switch op := m.GetOperation().(type) {
	case *fanoutv1.Operation_Emit:
		return op.Emit.GetTo()
	case *fanoutv1.Operation_EmitWithAck:
		return op.EmitWithAck.GetEmit().GetTo()
	case *fanoutv1.Operation_Join:
		return op.Join.GetTo()
	case *fanoutv1.Operation_Leave:
		return op.Leave.GetTo()
	case *fanoutv1.Operation_UpdateAll:
		return op.UpdateAll.GetTo()
	case *fanoutv1.Operation_Disconnect:
		return op.Disconnect.GetTo()
	}
	return nil
}

// errTooManyAwaited is RESOURCE_EXHAUSTED for commands that await browsers.
var errTooManyAwaited = status.Errorf(codes.ResourceExhausted, "%d commands of this stream await answers already", maxAwaiting)
