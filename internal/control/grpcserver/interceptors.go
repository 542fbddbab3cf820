package grpcserver

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/fanoutd/fanoutd/internal/control/middleware"
)

// unaryInterceptor runs m around unary calls.
func unaryInterceptor(m middleware.Middleware) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		err = m(ctx, callOf(ctx, info.FullMethod), func(ctx context.Context) (err error) {
			resp, err = next(ctx, req)
			return err
		})
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
}

// streamInterceptor runs m around streams.
func streamInterceptor(m middleware.Middleware) grpc.StreamServerInterceptor {
	return func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return m(s.Context(), callOf(s.Context(), info.FullMethod), func(ctx context.Context) error {
			return next(srv, &contextStream{ServerStream: s, ctx: ctx})
		})
	}
}

func callOf(ctx context.Context, method string) *middleware.Call {
	return &middleware.Call{Method: method, Authorization: metadata.ValueFromIncomingContext(ctx, "authorization")}
}

// contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *contextStream) Context() context.Context { return s.ctx }
