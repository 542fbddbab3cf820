package control

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
)

// recoverer keeps a panic in one call from ending the process: the caller gets
// INTERNAL and nothing else, the log gets the stack.
type recoverer struct {
	log *slog.Logger
}

func (r recoverer) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, r.report(ctx, info.FullMethod, v)
		}
	}()
	return next(ctx, req)
}

func (r recoverer) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = r.report(ss.Context(), info.FullMethod, v)
		}
	}()
	return next(srv, ss)
}

// run calls f on a goroutine that a call started: its panic would end the
// process past the interceptors.
func (r recoverer) run(ctx context.Context, method string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = r.report(ctx, method, v)
		}
	}()
	return f()
}

func (r recoverer) report(ctx context.Context, method string, v any) error {
	r.log.ErrorContext(ctx, "panic in a gRPC call", "method", method, "panic", v, "stack", string(debug.Stack()))
	return errInternal
}
