package httpserver

import (
	"context"
	"net/http"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
)

// method is one that is served, or that stands for those that are not.
type method struct {
	path    string // "/fanout.v1.EmitterService/Emit"
	info    grpc.MethodInfo
	service string
	connect http.Handler // Connect, gRPC-Web and gRPC
	stream  grpc.StreamHandler
	impl    any // of the service
	limit   int // bytes of a request, unpacked
}

// registrar registers services with a Server.
type registrar struct{ server *Server }

var _ reflection.GRPCServer = registrar{}

// RegisterService implements grpc.ServiceRegistrar.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for _, d := range desc.Methods {
		m := r.server.newMethod(desc.ServiceName, d.MethodName, impl)
		m.connect = connect.NewUnaryHandler(m.path, r.server.unary(m, d.Handler), r.server.options(m.limit)...)
		r.server.methods[m.path] = m
	}
	for _, d := range desc.Streams {
		m := r.server.newMethod(desc.ServiceName, d.StreamName, impl)
		m.stream = d.Handler
		m.info.IsClientStream, m.info.IsServerStream = d.ClientStreams, d.ServerStreams
		if d.ClientStreams {
			m.connect = connect.NewBidiStreamHandler(m.path, r.server.bidi(m), r.server.options(m.limit)...)
		} else {
			m.connect = connect.NewServerStreamHandler(m.path, r.server.serverStream(m), r.server.options(m.limit)...)
		}
		r.server.methods[m.path] = m
	}
}

// GetServiceInfo implements reflection.GRPCServer.
func (r registrar) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := map[string]grpc.ServiceInfo{}
	for _, m := range r.server.methods {
		info := all[m.service]
		info.Methods = append(info.Methods, m.info)
		all[m.service] = info
	}
	return all
}

// newMethod returns a method of a service that has no handler yet.
func (s *Server) newMethod(service, name string, impl any) *method {
	m := &method{path: "/" + service + "/" + name, service: service, impl: impl, limit: s.services.MaxRequestBytes()}
	m.info.Name = name
	if slices.Contains(api.Access.Open, m.path) || slices.Contains(api.Access.AnyKey, m.path) {
		m.limit = min(m.limit, maxOpenBytes)
	}
	return m
}

// options are those of a method whose requests have at most limit bytes.
func (s *Server) options(limit int) []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(protoCodec{}), connect.WithCodec(jsonCodec{"json"}), connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
		connect.WithReadMaxBytes(limit), s.withGzip(limit),
		connect.WithCompressMinBytes(compressMinBytes),
	}
}

// newUnknown returns what answers a call of a method that there is not. Who asks is told
// only with a key.
func (s *Server) newUnknown() *method {
	m := &method{path: "/" + api.UnknownMethods, info: grpc.MethodInfo{IsServerStream: true}, limit: s.services.MaxRequestBytes()}
	m.stream = func(any, grpc.ServerStream) error { return control.ErrUnknownMethod }
	return m
}

// unaryHandler is a service's handler of a method with one request and one answer.
type unaryHandler = func(impl any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error)
