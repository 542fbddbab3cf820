package grpcserver

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/fanoutd/fanoutd/internal/control/middleware"
)

// registrar registers services with a middleware around their unary methods.
//
// A grpc.UnaryServerInterceptor would get the request: it would have been read, and
// decoded, before anybody asked who calls, so that callers without a key could have as
// much of it held as a request may be large, in each of their streams. Here a request is
// read by the service's handler, which the middleware calls.
type registrar struct {
	grpc.ServiceRegistrar
	server     *Server
	middleware middleware.Middleware
}

// RegisterService implements grpc.ServiceRegistrar.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, service any) {
	wrapped := *desc // theirs is shared by all servers
	wrapped.Methods = slices.Clone(desc.Methods)
	for i := range wrapped.Methods {
		m := &wrapped.Methods[i]
		m.Handler = r.around("/"+desc.ServiceName+"/"+m.MethodName, m.Handler)
	}
	r.ServiceRegistrar.RegisterService(&wrapped, service)
}

// around returns handle with the middleware around it.
func (r registrar) around(method string, handle grpc.MethodHandler) grpc.MethodHandler {
	return func(service any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (resp any, err error) {
		err = r.middleware(ctx, callOf(ctx, method), func(ctx context.Context) (err error) {
			resp, err = handle(service, ctx, func(req any) error {
				return readError(r.server.inTime(method, func() error { return read(req) }))
			}, nil)
			return err
		})
		if err != nil {
			return nil, err
		}
		return resp, nil
	}
}
