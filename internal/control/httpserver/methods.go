package httpserver

import (
	"context"
	"net/http"

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
}

// registrar registers services with a Server.
type registrar struct{ server *Server }

var _ reflection.GRPCServer = registrar{}

// RegisterService implements grpc.ServiceRegistrar.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for _, d := range desc.Methods {
		m := &method{path: "/" + desc.ServiceName + "/" + d.MethodName, service: desc.ServiceName, impl: impl}
		m.info.Name = d.MethodName
		m.connect = connect.NewUnaryHandler(m.path, r.server.unary(m, d.Handler), r.server.options()...)
		r.server.methods[m.path] = m
	}
	for _, d := range desc.Streams {
		m := &method{path: "/" + desc.ServiceName + "/" + d.StreamName, service: desc.ServiceName, stream: d.Handler, impl: impl}
		m.info = grpc.MethodInfo{Name: d.StreamName, IsClientStream: d.ClientStreams, IsServerStream: d.ServerStreams}
		if d.ClientStreams {
			m.connect = connect.NewBidiStreamHandler(m.path, r.server.bidi(m), r.server.options()...)
		} else {
			m.connect = connect.NewServerStreamHandler(m.path, r.server.serverStream(m), r.server.options()...)
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

// options are those of every method.
func (s *Server) options() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(protoCodec{}), connect.WithCodec(jsonCodec{"json"}), connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
		connect.WithReadMaxBytes(s.services.MaxRequestBytes()),
		connect.WithCompressMinBytes(compressMinBytes),
	}
}

// newUnknown returns what answers a call of a method that there is not. Who asks is told
// only with a key.
func (s *Server) newUnknown() *method {
	m := &method{path: "/" + api.UnknownMethods, info: grpc.MethodInfo{IsServerStream: true}}
	m.stream = func(any, grpc.ServerStream) error { return control.ErrUnknownMethod }
	return m
}

// unaryHandler is a service's handler of a method with one request and one answer.
type unaryHandler = func(impl any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error)
