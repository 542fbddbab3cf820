package httpserver

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	errBidirectional = status.Error(codes.Unimplemented,
		"the method streams both ways, which only gRPC does: call it by gRPC, or use Batch, which carries out many operations by one request, and Tail, which shows what browsers do")
	errForm = status.Error(codes.InvalidArgument,
		"the Content-Type is none of those that the method takes: application/json, which curl sends with --json; application/grpc-web; or of Connect application/proto for one answer, application/connect+json and application/connect+proto for many")
	errEncoding = status.Error(codes.InvalidArgument, "an answer in lines needs a request that is not compressed")
	errPost     = status.Error(codes.InvalidArgument, "calls are POST requests")
)

// toConnect is a status with its details as connect-go has it.
func toConnect(err error) *connect.Error {
	st := status.Convert(err)
	e := connect.NewError(connect.Code(st.Code()), errors.New(st.Message()))
	for _, detail := range st.Proto().GetDetails() {
		if d, err := connect.NewErrorDetail(detail); err == nil {
			e.AddDetail(d)
		}
	}
	return e
}

// writeError answers a call with an error in the form that it asks for, and in Connect's
// JSON where that cannot be told.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	_ = s.errors.Write(w, r, toConnect(err)) // nobody is left to be told
}

// withStatus has an error go out with an HTTP status that says more than that of its code.
type withStatus struct {
	http.ResponseWriter
	status int
}

func (w withStatus) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }

func (w withStatus) Unwrap() http.ResponseWriter { return w.ResponseWriter }
