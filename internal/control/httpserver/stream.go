package httpserver

import (
	"context"
	"errors"
	"io"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// errStreamEnded is what a handler gets that goes on when its call has returned.
var errStreamEnded = status.Error(codes.Canceled, "the call has ended")

// wire carries the messages of a stream in one form.
type wire interface {
	// receive decodes the next request; io.EOF if there is none.
	receive(req any) error

	// send sends an answer; nil: the headers alone.
	send(answer any) error
}

// stream is a call of a streaming method, as services know it. They may send and
// receive at once, each one at a time, and may go on for a while when the call has
// returned; then it touches no wire any more.
type stream struct {
	grpc.ServerStream
	ctx     context.Context
	call    *call
	wire    wire
	over    chan struct{} // closed when the call returns
	sending chan struct{} // full while something is sent, and when the call returns
}

var _ grpc.ServerStream = (*stream)(nil)

func (s *stream) Context() context.Context { return s.ctx }

// SetHeader does nothing: no service has any to say.
func (s *stream) SetHeader(metadata.MD) error { return nil }

// SendHeader sends that the call is under way.
func (s *stream) SendHeader(metadata.MD) error { return s.put(nil) }

// SetTrailer does nothing: no service has any to say.
func (s *stream) SetTrailer(metadata.MD) {}

// SendMsg sends an answer.
func (s *stream) SendMsg(answer any) error { return s.put(answer) }

// RecvMsg receives a request.
func (s *stream) RecvMsg(req any) error {
	select {
	case <-s.over:
		return errStreamEnded
	default:
	}
	err := s.wire.receive(req)
	select {
	case <-s.over: // which is why it ended, if it did
		return errStreamEnded
	default:
		return err
	}
}

// put sends an answer, nil for the headers, for which the client may take a while.
func (s *stream) put(answer any) error {
	select {
	case s.sending <- struct{}{}:
	case <-s.over:
		return errStreamEnded
	}
	defer func() { <-s.sending }()
	s.call.controller.SetWriteDeadline(time.Now().Add(messageTimeout))
	select {
	case <-s.over: // and who ends it waits no longer than what is sent
		return errStreamEnded
	default:
	}
	if err := s.wire.send(answer); err != nil {
		return status.Error(codes.Unavailable, "the answer cannot be sent")
	}
	s.call.controller.SetWriteDeadline(time.Time{}) // with HTTP/2 it would end a stream that is silent
	return nil
}

// finish ends the stream: when it returns, nobody sends. A client that does not take
// what is being sent within lastAnswer gets no more.
func (s *stream) finish() {
	close(s.over)
	wait := time.NewTimer(lastAnswer)
	defer wait.Stop()
	select {
	case s.sending <- struct{}{}:
	case <-wait.C:
		s.call.controller.SetWriteDeadline(time.Unix(1, 0))
		s.sending <- struct{}{}
	}
	s.call.controller.SetWriteDeadline(time.Now().Add(messageTimeout))
}

// run runs a service's handler of a stream until it returns or the caller's key ends.
func (s *Server) run(ctx context.Context, c *call, over wire) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	str := &stream{ctx: ctx, call: c, wire: over, over: make(chan struct{}), sending: make(chan struct{}, 1)}
	defer str.finish()
	return c.end(s.reported(ctx, &c.Call, func(context.Context) error {
		return s.untilKeyEnds(identity.FromContext(ctx), func() error { return c.method.stream(c.method.impl, str) })
	}))
}

// untilKeyEnds runs a stream's handler until it returns or the caller's key ends. A
// handler may take no notice of that, so it has a goroutine of its own, which ends soon
// after.
func (s *Server) untilKeyEnds(caller identity.Principal, handle func() error) error {
	if caller.Ended() == nil {
		return handle()
	}
	ended := make(chan error, 1)
	s.calls.Go(func() { ended <- control.Recover(handle) })
	select {
	case err := <-ended:
		return err
	case <-caller.Ended():
		return identity.ErrKeyEnded
	}
}

// connectWire is one of connect-go.
type connectWire struct {
	conn    connect.StreamingHandlerConn
	request *message // that has been received already, if the method has only one
	single  bool
}

func (w *connectWire) receive(req any) error {
	m := w.request
	w.request = nil
	switch {
	case m != nil:
	case w.single:
		return io.EOF
	default:
		m = &message{}
		if err := w.conn.Receive(m); err != nil {
			return received(err)
		}
	}
	return m.into(req)
}

// received is what connect-go said when it could not receive.
func received(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	e := (*connect.Error)(nil)
	switch {
	case !errors.As(err, &e):
		return status.Error(codes.Canceled, "the request has ended")
	case e.Code() == connect.CodeInternal, e.Code() == connect.CodeUnknown: // no failure of ours
		return status.Error(codes.InvalidArgument, e.Message())
	}
	return status.Error(codes.Code(e.Code()), e.Message())
}

func (w *connectWire) send(answer any) error {
	if answer == nil {
		return w.conn.Send(nil)
	}
	return w.conn.Send(&message{answer: answer})
}

// serverStream is a method with one request and many answers for connect-go.
func (s *Server) serverStream(*method) func(context.Context, *connect.Request[message], *connect.ServerStream[message]) error {
	return func(ctx context.Context, req *connect.Request[message], to *connect.ServerStream[message]) error {
		c := ctx.Value(callKey{}).(*call)
		c.hasRead()
		return connectError(s.run(ctx, c, &connectWire{conn: to.Conn(), request: req.Msg, single: true}))
	}
}

// bidi is a method that streams both ways for connect-go.
func (s *Server) bidi(*method) func(context.Context, *connect.BidiStream[message, message]) error {
	return func(ctx context.Context, both *connect.BidiStream[message, message]) error {
		return connectError(s.run(ctx, ctx.Value(callKey{}).(*call), &connectWire{conn: both.Conn()}))
	}
}

// connectError is toConnect for what may be no error.
func connectError(err error) error {
	if err == nil {
		return nil
	}
	return toConnect(err)
}
