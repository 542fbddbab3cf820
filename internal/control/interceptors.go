package control

import (
	"context"

	"google.golang.org/grpc"
)

// The outermost interceptors: every call ends with an error that its caller may
// see, also if it panics.

func (r *ErrorReporter) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	err = r.Recover(ctx, info.FullMethod, func() (err error) {
		resp, err = next(ctx, req)
		return err
	})
	if err != nil {
		return nil, r.Code(ctx, info.FullMethod, err)
	}
	return resp, nil
}

func (r *ErrorReporter) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	err := r.Recover(ss.Context(), info.FullMethod, func() error { return next(srv, ss) })
	return r.Code(ss.Context(), info.FullMethod, err)
}
