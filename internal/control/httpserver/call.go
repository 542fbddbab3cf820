package httpserver

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/control/middleware"
)

// call is one that is under way.
type call struct {
	middleware.Call
	method     *method
	controller *http.ResponseController
	body       *body
	admitted   bool
	ended      bool
	err        error // what it has ended with, coded
	broken     bool  // what the client has got is no whole answer
}

// end notes what the call ended with.
func (c *call) end(err error) error {
	c.ended, c.err = true, err
	return err
}

// remote is where a request came from, as net/http has it.
type remote string

func (remote) Network() string  { return "tcp" }
func (r remote) String() string { return string(r) }

var _ net.Addr = remote("")

// body is a request's, and notes how reading it ended.
type body struct {
	io.ReadCloser
	size int64
	err  error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.size += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

type callKey struct{}

// serveCall serves a method, by its path.
func (s *Server) serveCall(w http.ResponseWriter, r *http.Request) {
	m := s.methods[r.URL.Path]
	switch {
	case m == nil && strings.Count(r.URL.Path, "/") != 2:
		http.Error(w, "this is fanoutd's control API: POST /fanout.v1.EmitterService/Emit, or GET /healthz, /openapi.json, /proto", http.StatusNotFound)
		return
	case m == nil:
		m = s.unknown
	}
	if !s.begin() {
		s.writeError(w, r, control.ErrClosing)
		return
	}
	defer s.calls.Done()
	c := &call{method: m, controller: http.NewResponseController(w), body: &body{ReadCloser: r.Body}}
	c.Method, c.Authorization, c.Remote = r.URL.Path, r.Header["Authorization"], remote(r.RemoteAddr)
	c.Level, c.Session = r.Header.Values(control.LevelHeader), sessionOf(r)
	c.Certificate, c.Connection = identity.CertificateNames(r.TLS), connections.FromContext(r.Context())
	ctx := metadata.NewIncomingContext(r.Context(), metadataOf(r.Header))
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: c.Remote})
	begin := &stats.Begin{BeginTime: time.Now(), IsClientStream: m.info.IsClientStream, IsServerStream: m.info.IsServerStream}
	for _, h := range s.stats {
		ctx = h.TagRPC(ctx, &stats.RPCTagInfo{FullMethodName: m.path})
		h.HandleRPC(ctx, begin)
	}
	defer func() {
		if !c.ended {
			c.err = c.unread(r.Context())
		}
		for _, h := range s.stats {
			h.HandleRPC(ctx, &stats.End{BeginTime: begin.BeginTime, EndTime: time.Now(), Error: c.err})
		}
	}()
	r = r.WithContext(context.WithValue(ctx, callKey{}, c))
	r.Body = c.body // net/http knows its own body by the type, in its own request
	s.answer(w, r, c)
	if c.broken {
		panic(http.ErrAbortHandler) // net/http cuts it off at that
	}
}

// answer answers a call in the form that it asks for, once its caller is let in: no more of
// another's request is waited for than comes soon, and another is not told what is wrong with
// it, which would tell what there is.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *call) {
	form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var serve func(http.ResponseWriter, *http.Request, *call)
	switch {
	case c.method == s.unknown:
		serve = s.refuseWith(control.ErrUnknownMethod)
	case r.Method != http.MethodPost:
		serve = s.refuseAs(http.StatusMethodNotAllowed, errPost)
	case !c.method.takes(form):
		serve = s.refuseAs(http.StatusUnsupportedMediaType, errForm)
	case c.method.info.IsClientStream && !isGRPC(form):
		serve = s.refuseWith(errBidirectional)
	case c.method.info.IsServerStream && form == "application/json":
		serve = s.serveLines
	default:
		r.Header.Set("Content-Type", form) // its parameters mean nothing, and connect-go knows few of them
		serve = func(w http.ResponseWriter, r *http.Request, _ *call) { c.method.connect.ServeHTTP(w, r) }
	}
	err := s.letIn(r.Context(), &c.Call, func(ctx context.Context) error {
		c.admitted = true
		c.controller.SetWriteDeadline(time.Time{})
		c.controller.SetReadDeadline(c.readDeadline())
		serve(w, r.WithContext(ctx), c)
		return nil
	})
	switch {
	case err != nil && c.admitted: // a panic on the way
		c.broken = true
		_ = c.end(err)
	case err != nil:
		s.writeError(w, r, c.end(err))
	}
	c.controller.SetWriteDeadline(time.Now().Add(messageTimeout)) // for what is not sent yet
}

// refuseWith answers every call with err. Its request, which nobody needs, may take as long
// as that of a call without a key.
func (s *Server) refuseWith(err error) func(http.ResponseWriter, *http.Request, *call) {
	return func(w http.ResponseWriter, r *http.Request, c *call) {
		c.controller.SetReadDeadline(time.Now().Add(openTimeout))
		s.writeError(w, r, c.end(err))
	}
}

// refuseAs is refuseWith by an HTTP status that says more than that of err's code.
func (s *Server) refuseAs(code int, err error) func(http.ResponseWriter, *http.Request, *call) {
	refuse := s.refuseWith(err)
	return func(w http.ResponseWriter, r *http.Request, c *call) {
		if code == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		refuse(withStatus{w, code}, r, c)
	}
}

func isGRPC(form string) bool {
	return form == "application/grpc" || strings.HasPrefix(form, "application/grpc+")
}

// takes reports whether calls of the method may come in this form: plain JSON always, but
// other than that Connect has one form for one message, and one for many.
func (m *method) takes(form string) bool {
	switch form {
	case "application/json", "application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json":
		return true
	case "application/proto":
		return !m.info.IsServerStream
	case "application/connect+json", "application/connect+proto":
		return m.info.IsServerStream
	}
	return isGRPC(form)
}

// metadataOf is what of a request's headers gRPC would have brought as metadata.
func metadataOf(h http.Header) metadata.MD {
	md := make(metadata.MD, len(h))
	for name, values := range h {
		md[strings.ToLower(name)] = values
	}
	return md
}

// readDeadline is until when the request has to be there, zero if it streams.
func (c *call) readDeadline() time.Time {
	switch {
	case c.method.info.IsClientStream:
		return time.Time{}
	case slices.Contains(api.Access.Open, c.method.path):
		return time.Now().Add(openTimeout)
	}
	return time.Now().Add(messageTimeout)
}

// hasRead is called when the request is there: the deadline for it must not end what
// net/http reads from then on, to find out when the client goes.
func (c *call) hasRead() { c.controller.SetReadDeadline(time.Time{}) }

// unread is what a call has ended with whose request did not come, or was none.
func (c *call) unread(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case errors.Is(c.body.err, os.ErrDeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "")
	case c.body.size > int64(c.method.limit):
		return status.Error(codes.ResourceExhausted, "")
	}
	return status.Error(codes.InvalidArgument, "")
}

// unary is handle for connect-go.
func (s *Server) unary(m *method, handle unaryHandler) func(context.Context, *connect.Request[message]) (*connect.Response[message], error) {
	return func(ctx context.Context, req *connect.Request[message]) (*connect.Response[message], error) {
		c := ctx.Value(callKey{}).(*call)
		c.hasRead()
		var answer any
		err := s.reported(ctx, &c.Call, func(ctx context.Context) (err error) {
			answer, err = handle(m.impl, ctx, req.Msg.into, nil)
			return err
		})
		c.controller.SetWriteDeadline(time.Now().Add(messageTimeout))
		if c.end(err) != nil {
			return nil, toConnect(err)
		}
		return connect.NewResponse(&message{answer: answer}), nil
	}
}
