package hook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	hookv1 "github.com/fanoutd/fanoutd/gen/fanout/hook/v1"
	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// backend is one that can be taken away and brought back, in memory.
type backend struct {
	hookv1.UnimplementedAuthorizerServiceServer

	mu       sync.Mutex
	answer   answer
	listener *bufconn.Listener // nil: it is gone
	server   *grpc.Server
	served   chan error
}

func (b *backend) Authorize(ctx context.Context, req *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	b.mu.Lock()
	answer := b.answer
	b.mu.Unlock()
	return answer(ctx, req)
}

func (b *backend) set(a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = a
}

// start serves, with the stock settings of a gRPC server but for options.
func (b *backend) start(options ...grpc.ServerOption) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listener, b.server, b.served = bufconn.Listen(1<<20), grpc.NewServer(options...), make(chan error, 1)
	hookv1.RegisterAuthorizerServiceServer(b.server, b)
	go func(s *grpc.Server, l net.Listener, served chan<- error) { served <- s.Serve(l) }(b.server, b.listener, b.served)
}

func (b *backend) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener == nil {
		return
	}
	b.server.Stop()
	<-b.served
	b.listener = nil
}

func (b *backend) dial(ctx context.Context, _ string) (net.Conn, error) {
	b.mu.Lock()
	l := b.listener
	b.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	return l.DialContext(ctx)
}

// newTest returns a Client of a backend that is not started. Both end with the test.
func newTest(t *testing.T, o Options) (*Client, *backend) {
	t.Helper()
	b := &backend{answer: allow(&hookv1.AuthorizeResponse_Allow{})}
	o.Address = "backend:1"
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClient(o, "passthrough:///"+o.Address, grpc.WithContextDialer(b.dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		b.stop()
	})
	return c, b
}

type answer = func(context.Context, *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error)

func allow(m *hookv1.AuthorizeResponse_Allow) answer {
	return says(&hookv1.AuthorizeResponse{Decision: &hookv1.AuthorizeResponse_Allow_{Allow: m}})
}

func refuse(m *hookv1.AuthorizeResponse_Refuse) answer {
	return says(&hookv1.AuthorizeResponse{Decision: &hookv1.AuthorizeResponse_Refuse_{Refuse: m}})
}

func says(m *hookv1.AuthorizeResponse) answer {
	return func(context.Context, *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) { return m, nil }
}

// hangs answers nothing for as long as it may.
func hangs(ctx context.Context, _ *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// authorize asks for a connection that was granted nothing yet.
func authorize(ctx context.Context, c *Client) (sio.Admission, error) {
	return c.Decide(ctx, request(), sio.Admission{})
}

func request() *admission.Request {
	return &admission.Request{
		Connection: func() sio.Connection {
			return sio.Connection{
				ID: "abc", Namespace: "/chat", RemoteAddr: "192.0.2.1:5",
				Handshake: &sio.Handshake{
					Headers: map[string]string{"origin": "https://app.example.com"}, Query: map[string]string{"v": "1"},
				},
			}
		},
		Auth: []byte(`{"token":"s3cr3t"}`),
	}
}
