package middleware

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// direct is a transport without a network: it calls the services on the caller's
// goroutine, behind a Middleware.
type direct struct {
	around  Middleware
	unary   map[string]func(ctx context.Context, decode func(any) error) (any, error)
	streams map[string]func(grpc.ServerStream) error
}

func newDirect(services *control.Services, around Middleware) *direct {
	d := &direct{
		around:  around,
		unary:   make(map[string]func(context.Context, func(any) error) (any, error)),
		streams: make(map[string]func(grpc.ServerStream) error),
	}
	fanoutv1.RegisterEmitterServiceServer(d, services.Emitter)
	fanoutv1.RegisterRegistryServiceServer(d, services.Registry)
	return d
}

func (d *direct) RegisterService(desc *grpc.ServiceDesc, service any) {
	for _, m := range desc.Methods {
		d.unary["/"+desc.ServiceName+"/"+m.MethodName] = func(ctx context.Context, decode func(any) error) (any, error) {
			return m.Handler(service, ctx, decode, nil)
		}
	}
	for _, s := range desc.Streams {
		d.streams["/"+desc.ServiceName+"/"+s.StreamName] = func(stream grpc.ServerStream) error {
			return s.Handler(service, stream)
		}
	}
}

func (d *direct) call(ctx context.Context, c *Call, req, resp proto.Message) error {
	return d.around(ctx, c, func(ctx context.Context) error {
		handle := d.unary[c.Method]
		if handle == nil {
			return control.ErrUnknownMethod
		}
		got, err := handle(ctx, func(m any) error {
			proto.Merge(m.(proto.Message), req)
			return nil
		})
		if err == nil {
			proto.Merge(resp, got.(proto.Message))
		}
		return err
	})
}

// stream sends all of requests and returns the answers.
func (d *direct) stream(ctx context.Context, c *Call, requests ...proto.Message) ([]proto.Message, error) {
	s := &directStream{requests: requests}
	err := d.around(ctx, c, func(ctx context.Context) error {
		s.ctx = ctx
		return d.streams[c.Method](s)
	})
	return s.answers, err
}

type directStream struct {
	grpc.ServerStream
	ctx      context.Context
	requests []proto.Message
	answers  []proto.Message
}

func (s *directStream) Context() context.Context { return s.ctx }

func (s *directStream) SendMsg(m any) error {
	s.answers = append(s.answers, m.(proto.Message))
	return nil
}

func (s *directStream) RecvMsg(m any) error {
	if len(s.requests) == 0 {
		return io.EOF
	}
	proto.Merge(m.(proto.Message), s.requests[0])
	s.requests = s.requests[1:]
	return nil
}

// fakeHub answers what apply does, and counts.
type fakeHub struct {
	control.Hub
	apply   func() (sio.Result, error)
	applied int
}

func (h *fakeHub) Apply(context.Context, sio.Op) (sio.Result, error) {
	h.applied++
	return h.apply()
}

// newTransport is a direct transport for the callers x and y, whose keys are
// their names twice.
func newTransport(t *testing.T, hub control.Hub, log io.Writer) *direct {
	t.Helper()
	a, err := identity.NewAuthenticator([]identity.Key{{Name: "x", Secret: "xx"}, {Name: "y", Secret: "yy"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	services := control.New(hub, control.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	return newDirect(services, Standard(services.Errors, a, Access{
		Open: []string{fanoutv1.EmitterService_EmitBatch_FullMethodName}, Scope: control.ScopeOf,
	}))
}

func emitting(key string) *Call {
	c := &Call{Method: fanoutv1.EmitterService_Emit_FullMethodName}
	if key != "" {
		c.Authorization = []string{"Bearer " + key}
	}
	return c
}

func emit(idempotencyKey string) *fanoutv1.EmitRequest {
	return &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e", IdempotencyKey: idempotencyKey}
}

// The services are the same over another transport than gRPC: who calls, what
// fails and what is refused.
func TestAnotherTransport(t *testing.T) {
	hub := &fakeHub{apply: func() (sio.Result, error) { return sio.Result{Matched: 7}, nil }}
	d := newTransport(t, hub, io.Discard)

	for _, tt := range []struct {
		key       string
		want      codes.Code
		duplicate bool
	}{
		{"", codes.Unauthenticated, false},
		{"zz", codes.Unauthenticated, false},
		{"xx", codes.OK, false},
		{"yy", codes.OK, false}, // another caller's key is another one
		{"xx", codes.OK, true},
	} {
		var resp fanoutv1.EmitResponse
		err := d.call(t.Context(), emitting(tt.key), emit("k"), &resp)
		if status.Code(err) != tt.want || resp.GetDuplicate() != tt.duplicate || (err == nil && resp.GetMatched() != 7) {
			t.Errorf("key %q: got %v, %v, want %v, duplicate %v", tt.key, &resp, err, tt.want, tt.duplicate)
		}
	}
	if hub.applied != 2 {
		t.Errorf("applied %d times, want once for each caller", hub.applied)
	}
	list := &Call{Method: fanoutv1.RegistryService_ListNamespaces_FullMethodName, Authorization: []string{"Bearer xx"}}
	err := d.call(t.Context(), list, &fanoutv1.ListNamespacesRequest{PageSize: -1}, &fanoutv1.ListNamespacesResponse{})
	if status.Code(err) != codes.InvalidArgument || len(status.Convert(err).Details()) != 1 {
		t.Errorf("a bad request: got %v, want INVALID_ARGUMENT with details", err)
	}
	for _, tt := range []struct {
		authorization []string
		want          codes.Code
	}{{nil, codes.Unauthenticated}, {[]string{"Bearer xx"}, codes.Unimplemented}} {
		err := d.call(t.Context(), &Call{Method: "/no.Such/Method", Authorization: tt.authorization}, nil, nil)
		if status.Code(err) != tt.want {
			t.Errorf("an unknown method: got %v, want %v", err, tt.want)
		}
	}
	// An open method needs no key.
	batch := &Call{Method: fanoutv1.EmitterService_EmitBatch_FullMethodName}
	if err := d.call(t.Context(), batch, &fanoutv1.EmitBatchRequest{}, &fanoutv1.EmitBatchResponse{}); err != nil {
		t.Errorf("an open method: %v", err)
	}
}

func TestStreamOverAnotherTransport(t *testing.T) {
	hub := &fakeHub{apply: func() (sio.Result, error) { return sio.Result{Matched: 1}, nil }}
	d := newTransport(t, hub, io.Discard)
	c := &Call{Method: fanoutv1.EmitterService_EmitStream_FullMethodName}
	if _, err := d.stream(t.Context(), c); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a key: got %v, want UNAUTHENTICATED", err)
	}
	c.Authorization = []string{"Bearer xx"}
	answers, err := d.stream(t.Context(), c,
		&fanoutv1.EmitStreamRequest{Sequence: 1, Emit: emit("")}, &fanoutv1.EmitStreamRequest{Sequence: 2, Emit: emit("")})
	if err != nil || len(answers) == 0 || hub.applied != 2 {
		t.Fatalf("got %v, %v with %d applied", answers, err, hub.applied)
	}
	if last := answers[len(answers)-1].(*fanoutv1.EmitStreamResponse); last.GetAckedThrough() != 2 {
		t.Errorf("got %v, want 2 acked", last)
	}
}

// Failures inside end as INTERNAL that says nothing, and one line in the log with
// the method and the caller; a panic's has the stack too.
func TestFailures(t *testing.T) {
	tests := []struct {
		name  string
		apply func() (sio.Result, error)
		logs  []string
	}{
		{"an error", func() (sio.Result, error) { return sio.Result{}, errors.New("a secret") }, nil},
		{"a panic", func() (sio.Result, error) { panic("a secret") }, []string{"panic in a call", "stack=", "middleware_test.go"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			d := newTransport(t, &fakeHub{apply: tt.apply}, &log)
			err := d.call(t.Context(), emitting("xx"), emit(""), &fanoutv1.EmitResponse{})
			if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.Message(), "secret") {
				t.Errorf("got %v, want INTERNAL that says nothing", err)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d lines were logged, want 1", n)
			}
			for _, want := range append(tt.logs, "a secret", "method="+fanoutv1.EmitterService_Emit_FullMethodName, "caller=x") {
				if !strings.Contains(log.String(), want) {
					t.Errorf("%q is not in the log: %s", want, &log)
				}
			}
		})
	}
}

func TestChain(t *testing.T) {
	var got []string
	step := func(name string) Middleware {
		return func(ctx context.Context, _ *Call, next Handler) error {
			got = append(got, name+" in")
			err := next(ctx)
			got = append(got, name+" out")
			return err
		}
	}
	m := chain(step("a"), step("b"))
	want := []string{"a in", "b in", "call", "b out", "a out"}
	for range 2 { // a chain serves many calls
		got = nil
		failed := errors.New("failed")
		err := m(t.Context(), &Call{}, func(context.Context) error {
			got = append(got, "call")
			return failed
		})
		if !errors.Is(err, failed) || !slices.Equal(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

// A caller that was written for a later API than this is refused, once it is known who calls.
func TestLevel(t *testing.T) {
	a, err := identity.NewAuthenticator([]identity.Key{{Name: "full", Secret: "f"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	services := control.New(&fakeHub{}, control.Options{Logger: slog.New(slog.DiscardHandler)})
	m := Standard(services.Errors, a, Access{Scope: func(string) (identity.Scope, bool) { return identity.Emit, true }})
	for _, tt := range []struct {
		key, level string
		want       codes.Code
	}{
		{"f", "1", codes.OK},
		{"f", "65535", codes.Unimplemented},
		{"f", "new", codes.InvalidArgument},
		{"wrong", "65535", codes.Unauthenticated},
	} {
		c, ran := &Call{Method: "/s/Emit", Authorization: []string{"Bearer " + tt.key}, Level: []string{tt.level}}, false
		err := m(t.Context(), c, func(context.Context) error { ran = true; return nil })
		if status.Code(err) != tt.want || ran != (tt.want == codes.OK) {
			t.Errorf("level %q with key %q: got %v, ran %v, want %v", tt.level, tt.key, err, ran, tt.want)
		}
	}
}

// A caller needs the scope of what it calls; what has none, nobody may call. One with
// namespaces or rooms may call what holds it to them only.
func TestScopes(t *testing.T) {
	a, err := identity.NewAuthenticator([]identity.Key{
		{Name: "sender", Secret: "s", Rights: identity.Rights{Scopes: []identity.Scope{identity.Emit}}},
		{Name: "full", Secret: "f"},
		{Name: "namespaces", Secret: "n", Rights: identity.Rights{Namespaces: []string{"/n"}}},
		{Name: "rooms", Secret: "r", Rights: identity.Rights{Rooms: []string{"r"}}},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	services := control.New(&fakeHub{}, control.Options{Logger: slog.New(slog.DiscardHandler)})
	scopes := map[string]identity.Scope{"/s/Emit": identity.Emit, "/s/Read": identity.Read, "/s/Forgotten": ""}
	m := Standard(services.Errors, a, Access{
		Open: []string{"/s/Open"}, AnyKey: []string{"/s/AnyKey"},
		Scope:         func(method string) (identity.Scope, bool) { s, ok := scopes[method]; return s, ok },
		HoldsToLimits: func(method string) bool { return method == "/s/Emit" },
	})
	tests := []struct {
		method, key string
		want        codes.Code
	}{
		{"/s/Open", "", codes.OK},
		{"/s/Open", "f", codes.OK},
		{"/s/AnyKey", "", codes.Unauthenticated},
		{"/s/AnyKey", "s", codes.OK},
		{"/s/Emit", "", codes.Unauthenticated},
		{"/s/Emit", "s", codes.OK},
		{"/s/Emit", "f", codes.OK},
		{"/s/Read", "s", codes.PermissionDenied},
		{"/s/Read", "f", codes.OK},
		{"/s/Forgotten", "", codes.Unauthenticated},
		{"/s/Forgotten", "s", codes.PermissionDenied},
		{"/s/Forgotten", "f", codes.PermissionDenied},
		{"/s/AnyKey", "n", codes.OK},
		{"/s/Emit", "n", codes.OK},
		{"/s/Emit", "r", codes.OK},
		{"/s/Read", "n", codes.PermissionDenied},
		{"/s/Read", "r", codes.PermissionDenied},
		{"/s/Unknown", "", codes.Unauthenticated},
		{"/s/Unknown", "f", codes.Unimplemented},
	}
	for _, tt := range tests {
		c, ran := &Call{Method: tt.method}, false
		if tt.key != "" {
			c.Authorization = []string{"Bearer " + tt.key}
		}
		err := m(t.Context(), c, func(context.Context) error { ran = true; return nil })
		if status.Code(err) != tt.want || ran != (tt.want == codes.OK) {
			t.Errorf("%s with key %q: got %v, ran %v, want %v", tt.method, tt.key, err, ran, tt.want)
		}
		if tt.method == "/s/Read" && tt.key == "s" {
			info, _ := status.Convert(err).Details()[0].(*errdetails.ErrorInfo)
			if info.GetReason() != "SCOPE_MISSING" || info.GetMetadata()["scope"] != "read" || info.GetMetadata()["key"] != "sender" {
				t.Errorf("got %v, want SCOPE_MISSING with the scope and the key's name", info)
			}
		}
	}
}

// What is refused for who calls is counted by its reason, and leaves a line that names
// the caller, if it is known, and no key; nothing else does.
func TestRefusals(t *testing.T) {
	var log strings.Builder
	a, err := identity.NewAuthenticator([]identity.Key{
		{Name: "reader", Secret: "secret", Rights: identity.Rights{Scopes: []identity.Scope{identity.Read}}},
		{Name: "full", Secret: "full"},
		{Name: "limited", Secret: "limited", Rights: identity.Rights{Rooms: []string{"r"}}},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	services := control.New(&fakeHub{}, control.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	m := Standard(services.Errors, a, Access{Scope: control.ScopeOf})
	emit := fanoutv1.EmitterService_Emit_FullMethodName
	for _, tt := range []struct {
		method, key string
		certificate []string
		err         error // what the service ends with
		want        string
	}{
		{emit, "", nil, nil, "reason=KEY_MISSING method=" + emit + " remote=192.0.2.7:8\n"},
		{emit, "wrong-secret", nil, nil, "reason=KEY_INVALID method=" + emit + " remote=192.0.2.7:8\n"},
		{emit, "", []string{"stranger"}, nil, "reason=CERTIFICATE_UNKNOWN method=" + emit + " remote=192.0.2.7:8\n"},
		{emit, "secret", nil, nil, "reason=SCOPE_MISSING method=" + emit + " scope=emit caller=reader remote=192.0.2.7:8\n"},
		{emit, "full", nil, &identity.ScopeError{Scope: "authorize", Caller: "full"}, "reason=SCOPE_MISSING method=" + emit + " scope=authorize caller=full remote=192.0.2.7:8\n"},
		{"/" + strings.Repeat("x", 1000), "", nil, nil, "reason=KEY_MISSING method=/" + strings.Repeat("x", 127) + " remote=192.0.2.7:8\n"},
		{emit, "limited", nil, nil, "reason=KEY_LIMITED method=" + emit + " caller=limited remote=192.0.2.7:8\n"},
		{emit, "full", nil, identity.ErrKeyEnded, ""},
		{emit, "full", nil, control.ErrClosing, ""},
		{emit, "full", nil, nil, ""},
	} {
		log.Reset()
		c := &Call{Method: tt.method, Certificate: tt.certificate, Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8}}
		if tt.key != "" {
			c.Authorization = []string{"Bearer " + tt.key}
		}
		_ = m(t.Context(), c, func(context.Context) error { return tt.err })
		_, got, _ := strings.Cut(log.String(), ` msg="refused a call of the control API" `)
		if got != tt.want || strings.Contains(log.String(), "secret") {
			t.Errorf("%.64s with key %q: logged %q, want the end %q", tt.method, tt.key, log.String(), tt.want)
		}
	}
	want := map[string]uint64{"KEY_MISSING": 2, "KEY_INVALID": 1, "CERTIFICATE_UNKNOWN": 1, "SCOPE_MISSING": 2, "KEY_LIMITED": 1, "ORIGIN_REFUSED": 0, "HOST_REFUSED": 0}
	if got := services.Errors.Refusals(); !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// However many calls are refused, the log has a line a second of them.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		d := newTransport(t, &fakeHub{}, &log)
		for range 1000 {
			_ = d.call(t.Context(), emitting("wrong"), emit(""), nil)
		}
		if n := strings.Count(log.String(), "\n"); n != 10 {
			t.Errorf("%d lines, want 10", n)
		}
		time.Sleep(time.Second)
		_ = d.call(t.Context(), emitting("wrong"), emit(""), nil)
		if !strings.Contains(log.String(), "suppressed=990") {
			t.Errorf("the next line does not tell how many are left out: %s", &log)
		}
	})
}
