package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

var (
	// ErrInterrupted is the error of commands that were sent and not answered when their
	// stream broke: they may have been carried out. One that has an idempotency key may
	// be given again.
	ErrInterrupted = errors.New("backend: the stream broke before the command was answered")

	// ErrClosed is the error of commands that were given after Close.
	ErrClosed = errors.New("backend: the commands are closed")
)

// How many commands of a stream may be unanswered. A further one waits.
const (
	maxCommands = 1000
	maxAwaited  = 4000 // of those that await browsers; the daemon takes a few more
)

// Commands is a stream of commands, which take effect in the order in which they are
// given, without waiting for each other: emit, then reply, and the browser gets them so.
// Each method gives one and returns its [Answer], which nobody has to wait for. It waits
// while too many are unanswered: 1000, and 4000 of those that await browsers.
//
// When the stream breaks, what was sent and not answered fails with [ErrInterrupted], and
// a new stream goes on with the rest. What a caller may not do, or has got wrong,
// fails by itself and stops nothing; so does what is larger than the daemon said to [Dial]
// that it takes.
//
// All methods may be called at once; commands of one goroutine keep their order.
type Commands struct {
	client  *Client
	open    *fanoutv1.ExecuteRequest_Open // nil: none
	ctx     context.Context
	plain   chan struct{} // holds one for each that is unanswered
	awaited chan struct{} // likewise
	news    chan struct{} // holds one: there is something to send
	ended   chan struct{} // closed when none is taken any more, and all are answered

	mu      sync.Mutex
	last    uint64              // sequence
	queue   []*command          // not sent yet
	sent    map[uint64]*command // by sequence, and not answered
	closing bool                // nothing comes behind the queue
	err     error               // why no command is taken
}

// command is one that was given, or takes one back that awaits browsers.
type command struct {
	sequence  uint64
	operation *fanoutv1.Operation // nil: the command of this number is to be awaited no longer
	each      func(*fanoutv1.OperationResult)
	place     chan struct{} // that it is counted in
	done      chan struct{} // closed when there is the result or the error
	result    *fanoutv1.OperationResult
	err       error
}

// Commands opens a stream of commands, which ends with ctx, or by [Commands.Close].
func (c *Client) Commands(ctx context.Context) *Commands { return c.commands(ctx, nil) }

func (c *Client) commands(ctx context.Context, open *fanoutv1.ExecuteRequest_Open) *Commands {
	x := &Commands{
		client: c, open: open, ctx: ctx, plain: make(chan struct{}, maxCommands), awaited: make(chan struct{}, maxAwaited),
		news: make(chan struct{}, 1), ended: make(chan struct{}), sent: map[uint64]*command{},
	}
	go x.run()
	return x
}

// Close takes no more commands, and returns when those that were given are answered, or
// have failed. Its error is why they had to: the end of the context, or what no further
// try can change. Later calls do the same.
func (x *Commands) Close() error {
	x.mu.Lock()
	x.closing = true
	if x.err == nil {
		x.err = ErrClosed
	}
	x.mu.Unlock()
	x.wake()
	<-x.ended
	x.mu.Lock()
	defer x.mu.Unlock()
	if errors.Is(x.err, ErrClosed) {
		return nil
	}
	return x.err
}

// give has an operation sent. each is called with its results, by one goroutine for all
// commands; nil: nobody wants any but the last.
func (x *Commands) give(o *fanoutv1.Operation, each func(*fanoutv1.OperationResult)) *command {
	m := &command{operation: o, each: each, place: x.plain, done: make(chan struct{})}
	if o.GetCall() != nil || o.GetEmitWithAck() != nil {
		m.place = x.awaited
	}
	select {
	case m.place <- struct{}{}:
	case <-x.ended:
		m.place = nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err != nil {
		m.end(nil, x.err)
		return m
	}
	x.last++
	m.sequence = x.last
	x.queue = append(x.queue, m)
	x.wake()
	return m
}

// takeBack has a command awaited no longer.
func (x *Commands) takeBack(m *command) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if m.sequence > 0 {
		x.queue = append(x.queue, &command{sequence: m.sequence})
		x.wake()
	}
}

// end notes what became of a command.
func (m *command) end(result *fanoutv1.OperationResult, err error) {
	if m.done == nil {
		return
	}
	m.result, m.err = result, err
	if m.place != nil {
		<-m.place
	}
	close(m.done)
}

func (x *Commands) wake() {
	select {
	case x.news <- struct{}{}:
	default:
	}
}

// run lives through one stream after the other.
func (x *Commands) run() {
	defer close(x.ended)
	for b := (backoff{}); ; {
		heard, err := x.session()
		x.fail(fmt.Errorf("%w: %w", ErrInterrupted, err))
		switch {
		case x.ctx.Err() != nil:
			x.refuse(context.Cause(x.ctx))
			return
		case x.isDone():
			return
		case !passing(err):
			x.refuse(fmt.Errorf("backend: commands: %w", err))
			return
		}
		if heard {
			b.reset()
		}
		if !errors.Is(err, io.EOF) {
			x.client.log.Warn("the stream of commands was lost; trying again", "error", err)
			b.wait(x.ctx, pause(err))
		}
	}
}

// fail ends the commands that were sent.
func (x *Commands) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for sequence, m := range x.sent {
		delete(x.sent, sequence)
		m.end(nil, err)
	}
}

// refuse takes no more commands, and ends those that were not sent.
func (x *Commands) refuse(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.err = err
	for _, m := range x.queue {
		m.end(nil, err)
	}
	x.queue = nil
}

// isDone reports whether nothing is left to be done.
func (x *Commands) isDone() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.closing && len(x.queue) == 0
}

// session lives through one stream, and returns why it ended: io.EOF if it was closed in
// order. heard says that the daemon has said something.
func (x *Commands) session() (heard bool, err error) {
	ctx, cancel := context.WithCancel(x.ctx)
	defer cancel()
	if x.isDone() {
		return false, io.EOF
	}
	g, err := x.client.emitter.Execute(ctx)
	if err != nil {
		return false, err
	}
	draining := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { x.send(ctx, g, draining) })
	defer sending.Wait()
	defer cancel()
	for drains := false; ; {
		res, err := g.Recv()
		if err != nil {
			return heard, err
		}
		heard = true
		for _, r := range res.GetResults() {
			x.take(r)
		}
		if res.GetDraining() && !drains {
			drains = true
			close(draining)
		}
	}
}

// send sends what there is, in order, until the daemon drains or nothing comes any more.
// Its errors are those that are received.
func (x *Commands) send(ctx context.Context, g grpc.BidiStreamingClient[fanoutv1.ExecuteRequest, fanoutv1.ExecuteResponse], draining <-chan struct{}) {
	defer g.CloseSend() //nolint:errcheck // never fails
	if x.open != nil && g.Send(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: x.open}}) != nil {
		return
	}
	for {
		for m := x.next(); m != nil; m = x.next() {
			// One that cannot be encoded, or is too large, would end the stream.
			var encoded grpc.PreparedMsg
			request := m.message()
			err := x.fits(request)
			if err == nil {
				err = encoded.Encode(g, request)
			}
			if err != nil {
				x.spoil(m, err)
				continue
			}
			if g.SendMsg(&encoded) != nil {
				return
			}
			select {
			case <-draining:
				return
			default:
			}
		}
		if x.isDone() {
			return
		}
		select {
		case <-x.news:
		case <-draining:
			return
		case <-ctx.Done():
			return
		}
	}
}

// next takes the next command that is to be sent, which counts as sent.
func (x *Commands) next() *command {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) == 0 {
		return nil
	}
	m := x.queue[0]
	x.queue[0] = nil
	if x.queue = x.queue[1:]; len(x.queue) == 0 {
		x.queue = nil // what it is a part of may have held many
	}
	if m.operation != nil {
		x.sent[m.sequence] = m
	}
	return m
}

// fits is RESOURCE_EXHAUSTED for a message that is larger than the daemon takes.
func (x *Commands) fits(request *fanoutv1.ExecuteRequest) error {
	limit := x.client.maxRequest
	if n := proto.Size(request); limit > 0 && n > limit {
		return status.Errorf(codes.ResourceExhausted, "it has %d bytes, and the daemon takes %d: its setting control-max-request", n, limit)
	}
	return nil
}

// spoil ends a command that was not sent and cannot be: a text in it is no UTF-8, or it is too large.
func (x *Commands) spoil(m *command, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.sent, m.sequence)
	m.end(nil, fmt.Errorf("backend: the command cannot be sent: %w", err))
}

func (m *command) message() *fanoutv1.ExecuteRequest {
	if m.operation == nil {
		return &fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Cancel_{Cancel: &fanoutv1.ExecuteRequest_Cancel{Sequence: m.sequence}}}
	}
	return &fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Command_{
		Command: &fanoutv1.ExecuteRequest_Command{Sequence: m.sequence, Operation: m.operation},
	}}
}

// take takes one result.
func (x *Commands) take(r *fanoutv1.ExecuteResponse_Result) {
	x.mu.Lock()
	m := x.sent[r.GetSequence()]
	if m != nil && r.GetLast() {
		delete(x.sent, r.GetSequence())
	}
	x.mu.Unlock()
	if m == nil {
		return
	}
	if m.each != nil {
		m.each(r.GetResult())
	}
	if r.GetLast() {
		m.end(r.GetResult(), statusError(r.GetResult().GetStatus()))
	}
}
