package grpcserver

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/control/middleware"
)

// streamInterceptor runs m around streams, before any of their requests is read. Each ends
// when its caller's key does.
func (s *Server) streamInterceptor(m middleware.Middleware) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return m(stream.Context(), callOf(stream.Context(), info.FullMethod), func(ctx context.Context) error {
			return s.untilKeyEnds(identity.FromContext(ctx), func() error {
				return next(srv, &contextStream{ServerStream: stream, ctx: ctx, server: s, method: info.FullMethod, open: open(info.FullMethod)})
			})
		})
	}
}

// untilKeyEnds runs a stream's handler until it returns or the caller's key ends. A
// handler may hang in its stream, which frees it only when the call has returned: so
// it has a goroutine of its own, which ends soon after.
func (s *Server) untilKeyEnds(caller identity.Principal, handle func() error) error {
	if caller.Ended() == nil {
		return handle()
	}
	ended := make(chan error, 1)
	s.handlers.Go(func() { ended <- control.Recover(handle) })
	select {
	case err := <-ended:
		return err
	case <-caller.Ended():
		return identity.ErrKeyEnded
	}
}

func callOf(ctx context.Context, method string) *middleware.Call {
	c := &middleware.Call{
		Method:        method,
		Authorization: metadata.ValueFromIncomingContext(ctx, "authorization"),
		Level:         metadata.ValueFromIncomingContext(ctx, control.LevelHeader),
	}
	c.Connection = connections.FromContext(ctx)
	if p, ok := peer.FromContext(ctx); ok {
		shown := p.AuthInfo
		if on, ok := shown.(authInfo); ok {
			shown, c.Connection = on.AuthInfo, on.connection
		}
		if info, ok := shown.(credentials.TLSInfo); ok {
			c.Certificate = identity.CertificateNames(&info.State)
		}
		c.Remote = p.Addr
	}
	return c
}

// inTime runs read, which reads a request of this method. Where anybody may call the
// method it may take [openTimeout]: otherwise strangers could have much of a request held,
// in any number of calls, for as long as they like. A read that takes longer ends soon
// after its call.
func (s *Server) inTime(method string, read func() error) error {
	if !open(method) {
		return read()
	}
	ended := make(chan error, 1)
	s.handlers.Go(func() { ended <- control.Recover(read) })
	timeout := time.NewTimer(openTimeout)
	defer timeout.Stop()
	select {
	case err := <-ended:
		return err
	case <-timeout.C:
		return control.ErrRequestLate
	}
}

// open reports whether anybody may call the method.
func open(method string) bool { return slices.Contains(api.Access.Open, method) }

// readError is err, which reading a request ended with. What gRPC calls INTERNAL, and has
// told the caller by then, is a request that is none: no failure inside.
func readError(err error) error {
	if s, ok := status.FromError(err); ok && s.Code() == codes.Internal {
		return status.Error(codes.InvalidArgument, s.Message())
	}
	return err
}

// contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx    context.Context
	server *Server
	method string
	open   bool // anybody may call it
}

func (s *contextStream) Context() context.Context { return s.ctx }

func (s *contextStream) RecvMsg(req any) error {
	if !s.open { // it reads many messages, and pays nothing for each
		return readError(s.ServerStream.RecvMsg(req))
	}
	return readError(s.server.inTime(s.method, func() error { return s.ServerStream.RecvMsg(req) }))
}
