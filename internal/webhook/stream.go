package webhook

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// stream is a stream of Consume without a transport: its other end is in this process.
type stream struct {
	grpc.ServerStream // nil: no header or trailer goes anywhere

	ctx       context.Context
	requests  chan *fanoutv1.ConsumeRequest
	responses chan *fanoutv1.ConsumeResponse
	closing   sync.Once
	closed    chan struct{} // by the consumer: it says nothing more
}

var _ grpc.BidiStreamingServer[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse] = (*stream)(nil)

// newStream returns one that ends with ctx.
func newStream(ctx context.Context) *stream {
	return &stream{
		ctx: ctx, requests: make(chan *fanoutv1.ConsumeRequest), responses: make(chan *fanoutv1.ConsumeResponse), closed: make(chan struct{}),
	}
}

// Context implements grpc.ServerStream.
func (s *stream) Context() context.Context { return s.ctx }

// Send implements grpc.BidiStreamingServer.
func (s *stream) Send(m *fanoutv1.ConsumeResponse) error {
	select {
	case s.responses <- m:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// Recv implements grpc.BidiStreamingServer.
func (s *stream) Recv() (*fanoutv1.ConsumeRequest, error) {
	select {
	case m := <-s.requests:
		return m, nil
	case <-s.closed:
		return nil, io.EOF
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
}

// say is what the consumer says. It does nothing once the stream has ended.
func (s *stream) say(m *fanoutv1.ConsumeRequest) {
	select {
	case s.requests <- m:
	case <-s.closed:
	case <-s.ctx.Done():
	}
}

// close ends what the consumer says.
func (s *stream) close() { s.closing.Do(func() { close(s.closed) }) }
