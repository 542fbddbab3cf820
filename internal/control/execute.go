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
	"github.com/fanoutd/fanoutd/internal/sio"
)

type executeStream = grpc.BidiStreamingServer[fanoutv1.ExecuteRequest, fanoutv1.ExecuteResponse]

const (
	// maxPipelined bounds the commands of a stream that other nodes have not answered.
	maxPipelined = 1024

	// maxCommands bounds the commands of one message; the contract states it.
	maxCommands = 1000

	// maxAwaiting bounds the commands of a stream that await browsers; the contract
	// states it. Each has a goroutine, but for a call of a connection here.
	maxAwaiting = 4096

	// minTidy is how many rooms and users are kept before it is looked which are answered.
	minTidy = 1024
)

// execution is one stream of Execute. One goroutine reads the commands and submits them in
// order; one takes the answers of other nodes in that order; one sends results; and
// commands that await browsers have one each, but for calls of connections here, which whoever
// has the answer ends.
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
	joined   map[string]uint64 // by namespace and room or user, what gave it members and may not be answered: up to which of behind
	tidyAt   int               // how many of joined make it worth to drop those that are answered
	awaiting sync.WaitGroup

	answered atomic.Uint64 // how many of behind are
	progress chan struct{} // holds one: answered has changed

	mu      sync.Mutex
	cancels map[uint64]func() // of commands that await browsers
}

// executed is a command that was submitted.
type executed struct {
	sequence uint64
	through  uint64 // so far commands have been submitted
	result   result
	silent   bool // it awaits browsers, and its results come from there, or it is a Sync
	quiet    bool // nothing is sent for its sake, unless it is refused
}

// Execute ends as EmitStream does.
func (e *Emitter) Execute(stream executeStream) error {
	x := &execution{
		emitter: e, ctx: stream.Context(), stream: stream, results: newResults(),
		answers: make(chan executed, maxPipelined), progress: make(chan struct{}, 1),
		joined: map[string]uint64{}, tidyAt: minTidy, cancels: map[uint64]func(){},
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
	if err != nil {
		x.cancelAll()
	}
	defer context.AfterFunc(x.ctx, x.cancelAll)() // nothing begins any more
	x.awaiting.Wait()
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
		case *fanoutv1.ExecuteRequest_Commands_:
			err = x.commands(m.Commands.GetCommands())
		case *fanoutv1.ExecuteRequest_Sync_:
			err = x.done(executed{through: x.last, silent: true})
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
		return invalid(&problems{at: place{inner: "open"}}, "results", "%d is no value of this field", m.GetResults())
	}
	if (m.GetGroup() == "") != (m.GetConsumerId() == "") {
		return invalid(&problems{at: place{inner: "open"}}, "consumer_id", "comes with a group, and a group with it")
	}
	x.ctx = withActor(x.ctx, sio.Owner{Group: m.GetGroup(), ConsumerID: m.GetConsumerId()}.Actor())
	return nil
}

// commands submits those of one message.
func (x *execution) commands(list []*fanoutv1.ExecuteRequest_Command) error {
	if len(list) > maxCommands {
		return invalid(&problems{at: place{inner: "commands"}}, "commands", "%d, but at most %d are allowed", len(list), maxCommands)
	}
	for _, m := range list {
		if err := x.command(m); err != nil {
			return err
		}
	}
	return nil
}

// command submits one command.
func (x *execution) command(m *fanoutv1.ExecuteRequest_Command) error {
	if m.GetSequence() <= x.last {
		result := refused(invalid(&problems{at: place{inner: "command"}}, "sequence", "%d does not come after %d", m.GetSequence(), x.last))
		return x.done(executed{sequence: m.GetSequence(), through: x.last, result: result})
	}
	x.last = m.GetSequence()
	op := m.GetOperation()
	if err := x.letJoin(targetOf(op)); err != nil {
		return err
	}
	const at = "command.operation"
	switch kind := op.GetOperation().(type) {
	case *fanoutv1.Operation_EmitWithAck:
		return x.await(fanoutv1.EmitterService_EmitWithAck_FullMethodName, func(sequence uint64) {
			x.run(sequence, func(ctx context.Context, placed func()) awaited {
				return x.emitWithAck(ctx, sequence, kind.EmitWithAck, at+".emit_with_ack", placed)
			})
		})
	case *fanoutv1.Operation_Call:
		return x.await(fanoutv1.EmitterService_Call_FullMethodName, func(sequence uint64) { x.call(sequence, kind.Call, at+".call") })
	case *fanoutv1.Operation_Publish:
		if kind.Publish.GetTimeout() == nil {
			break // nothing is awaited
		}
		return x.await(fanoutv1.EventService_Publish_FullMethodName, func(sequence uint64) {
			x.run(sequence, func(ctx context.Context, placed func()) awaited {
				return x.publish(ctx, kind.Publish, at+".publish", placed)
			})
		})
	case *fanoutv1.Operation_Join:
		r := x.emitter.operation(x.ctx, op, at)
		err := x.done(executed{sequence: x.last, through: x.last, result: r, quiet: m.GetQuiet()})
		if r.wait != nil {
			x.joins(roomKey, kind.Join.GetTo(), kind.Join.GetRooms()...)
		}
		return err
	case *fanoutv1.Operation_UpdateAll:
		r := x.emitter.operation(x.ctx, op, at)
		err := x.done(executed{sequence: x.last, through: x.last, result: r, quiet: m.GetQuiet()})
		if r.wait != nil && kind.UpdateAll.GetUserId() != "" {
			x.joins(userKey, kind.UpdateAll.GetTo(), kind.UpdateAll.GetUserId())
		}
		return err
	}
	return x.done(executed{sequence: x.last, through: x.last, result: x.emitter.operation(x.ctx, op, at), quiet: m.GetQuiet()})
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
		c.result.end() // now
		return status.FromContextError(x.ctx.Err()).Err()
	}
}

// takeAnswers takes what other nodes answer, and whatever came behind that, in order.
func (x *execution) takeAnswers() error {
	var err error
	for c := range x.answers {
		if err == nil {
			err = x.report(c)
		} else {
			c.result.end()
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
		told := !x.errors && !c.quiet
		var answer *fanoutv1.OperationResult
		err := Recover(func() (err error) { answer, err = c.result.get(told); return err })
		if err == nil && c.quiet {
			x.results.note(c.through)
			return nil
		}
		if err != nil || told {
			r = &fanoutv1.ExecuteResponse_Result{Sequence: c.sequence, Last: true, Result: x.toResult(answer, err)}
		}
	}
	return x.results.add(x.ctx, c.through, r)
}

func (x *execution) toResult(answer *fanoutv1.OperationResult, err error) *fanoutv1.OperationResult {
	return x.emitter.toResult(x.ctx, fanoutv1.EmitterService_Execute_FullMethodName, answer, err)
}

// roomKey names a room among those of all namespaces.
func roomKey(namespace, room string) string { return keyNamespace(namespace) + "\x00r" + room }

// userKey names a user likewise.
func userKey(namespace, user string) string { return keyNamespace(namespace) + "\x00u" + user }

// keyNamespace is the namespace of a target, one for all that span several.
func keyNamespace(s string) string {
	if sio.Spans(s) {
		return sio.EveryNamespace
	}
	return namespaceName(s)
}

// joins notes that the change of a target that was handed over last may have given these
// their first members at a node.
func (x *execution) joins(key func(namespace, name string) string, to *fanoutv1.Target, names ...string) {
	if len(x.joined) >= x.tidyAt {
		answered := x.answered.Load()
		maps.DeleteFunc(x.joined, func(_ string, join uint64) bool { return join <= answered })
		x.tidyAt = max(minTidy, 2*len(x.joined))
	}
	for _, name := range names {
		x.joined[key(to.GetNamespace(), name)] = x.behind
	}
}

// letJoin waits until what gave members to rooms and users that the target names is
// answered: before that it is not known of other nodes that they have any.
func (x *execution) letJoin(to *fanoutv1.Target) error {
	if len(x.joined) == 0 {
		return nil
	}
	var upTo uint64 // what is for several namespaces goes to every node in any case
	for _, namespace := range []string{to.GetNamespace(), sio.EveryNamespace} {
		for _, room := range to.GetRooms() {
			upTo = max(upTo, x.joined[roomKey(namespace, room)])
		}
		for _, user := range to.GetUsers() {
			upTo = max(upTo, x.joined[userKey(namespace, user)])
		}
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

// targetOf is whom an operation means by rooms and users; nil: it names none.
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
