package grpcserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/h2split"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// within are requests that keep to the namespace /n and the room r. They do nothing to
// the daemon, whoever sends them. An RPC that is not here is called with an empty one.
var within = map[string]string{
	"Emit":                            `{"to":{"namespace":"n","rooms":["r"]},"event":"e"}`,
	"EmitBatch":                       `{"emits":[{"to":{"namespace":"n","rooms":["r"]},"event":"e"}]}`,
	"EmitStream":                      `{"sequence":1,"emit":{"to":{"namespace":"n","rooms":["r"]},"event":"e"}}`,
	"EmitWithAck":                     `{"emit":{"to":{"namespace":"n","rooms":["r"]},"event":"e"},"timeout":"1s"}`,
	"Call":                            `{"namespace":"n","id":"x","event":"e","timeout":"1s"}`,
	"Consume":                         `{"open":{"group":"g"}}`,
	"Reply":                           `{"delivery_id":"x"}`,
	"Publish":                         `{"topic":"t","all":true}`,
	"ListConnections":                 `{"to":{"namespace":"n","rooms":["r"]}}`,
	"GetConnection":                   `{"namespace":"n","id":"x"}`,
	"CountConnections":                `{"to":{"namespace":"n","rooms":["r"]},"group_by":"ROOM"}`,
	"ListRooms":                       `{"namespace":"n"}`,
	"Join":                            `{"to":{"namespace":"n","rooms":["r"]},"rooms":["r"]}`,
	"Leave":                           `{"to":{"namespace":"n","rooms":["r"]},"rooms":["r"]}`,
	"Disconnect":                      `{"to":{"namespace":"n","rooms":["r"]},"mode":"NAMESPACE"}`,
	"UpdateConnection":                `{"namespace":"n","id":"x"}`,
	"fanout.v1.RegistryService.Watch": `{"to":{"namespace":"n","rooms":["r"]}}`,
	"ListUsers":                       `{"namespace":"n"}`,
	"Block":                           `{"users":["x"]}`,
	"Unblock":                         `{"addresses":["203.0.113.7"]}`,
	"ListBlocks":                      `{"user_prefix":"x"}`,
	"UpdateConnections":               `{"to":{"namespace":"n","rooms":["r"]}}`,
}

// request is what an RPC of any service is called with.
func request(t *testing.T, service, rpc string) proto.Message {
	t.Helper()
	text, ok := within[service+"."+rpc]
	if !ok {
		text, ok = within[rpc]
	}
	if !ok {
		return &emptypb.Empty{}
	}
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + rpc))
	if err != nil {
		t.Fatal(err)
	}
	m := dynamicpb.NewMessage(d.(protoreflect.MethodDescriptor).Input())
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatalf("%s: %v", rpc, err)
	}
	return m
}

// refusal calls a method, and returns the reason that the call is refused for, with its
// code; empty: it is let in, whatever becomes of it.
func refusal(ctx context.Context, conn *grpc.ClientConn, method, key string, req proto.Message) (reason string, code codes.Code) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return "no stream: " + err.Error(), status.Code(err)
	}
	err = errors.Join(stream.SendMsg(req), stream.CloseSend()) // io.EOF: it is refused by now
	head, headErr := stream.Header()
	if len(head) > 0 && headErr == nil && err == nil {
		return "", codes.OK // a stream that has begun, or the answer
	}
	err = stream.RecvMsg(&emptypb.Empty{})
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	code = status.Code(err)
	if reason == "" && (code == codes.Unauthenticated || code == codes.PermissionDenied || code == codes.Unavailable || code == codes.DeadlineExceeded) {
		reason = "refused: " + err.Error()
	}
	return reason, code
}

// caller is who calls in TestWhoMayCallWhatOverTLS.
type caller struct {
	name        string
	key         string
	certificate string // common name; empty: none is shown
	refused     string // the reason, whatever is called; empty: it depends
	may         func(scope identity.Scope, limited columns) (reason string)
}

// Every RPC is called by everybody, over TLS, with a certificate and without, as a client
// calls it: what the page about keys says holds from the socket on.
func TestWhoMayCallWhatOverTLS(t *testing.T) {
	scopes, limited := documented(t)
	keys := []identity.Key{
		{Name: "full", Secret: "full"},
		{Name: "namespaces", Secret: "namespaces", Rights: identity.Rights{Namespaces: []string{"/n"}}},
		{Name: "rooms", Secret: "rooms", Rights: identity.Rights{Rooms: []string{"r"}}},
		{Name: "namespaces", Certificate: "namespaces.internal", Rights: identity.Rights{Namespaces: []string{"/n"}}},
		{Name: "rooms", Certificate: "rooms.internal", Rights: identity.Rights{Rooms: []string{"r"}}},
		{Name: "full", Certificate: "full.internal"},
	}
	everything := func(identity.Scope, columns) string { return "" }
	unless := func(ok bool, reason string) string {
		if ok {
			return ""
		}
		return reason
	}
	namespaces := func(_ identity.Scope, l columns) string { return unless(l.namespaces, "KEY_LIMITED") }
	rooms := func(_ identity.Scope, l columns) string { return unless(l.rooms, "KEY_LIMITED") }
	callers := []caller{
		{name: "without a key", refused: "KEY_MISSING"},
		{name: "with a wrong key", key: "wrong", refused: "KEY_INVALID"},
		{name: "with a wrong key and a good certificate", key: "wrong", certificate: "full.internal", refused: "KEY_INVALID"},
		{name: "with a stranger's certificate", certificate: "stranger.internal", refused: "CERTIFICATE_UNKNOWN"},
		{name: "with a full key", key: "full", may: everything},
		{name: "with a full key and a stranger's certificate", key: "full", certificate: "stranger.internal", may: everything},
		{name: "with a full certificate", certificate: "full.internal", may: everything},
		{name: "with a key with namespaces", key: "namespaces", may: namespaces},
		{name: "with a certificate with namespaces", certificate: "namespaces.internal", may: namespaces},
		{name: "with a key with rooms", key: "rooms", may: rooms},
		{name: "with a certificate with rooms", certificate: "rooms.internal", may: rooms},
	}
	for _, own := range identity.Scopes() {
		rights := identity.Rights{Scopes: []identity.Scope{own}}
		keys = append(keys,
			identity.Key{Name: string(own), Secret: "key-" + string(own), Rights: rights},
			identity.Key{Name: string(own), Certificate: string(own) + ".internal", Rights: rights})
		may := func(scope identity.Scope, _ columns) string {
			return unless(scope == own || scope == identity.Any, "SCOPE_MISSING")
		}
		callers = append(callers,
			caller{name: "with a key to " + string(own), key: "key-" + string(own), may: may},
			caller{name: "with a certificate to " + string(own), certificate: string(own) + ".internal", may: may})
	}

	servers, clients := certtest.New(t, "servers"), certtest.New(t, "clients")
	s, address := serveTLS(t, keys, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{servers.Issue(t, "server").TLS(t)},
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients.Pool(),
	})
	type rpc struct {
		method  string
		request proto.Message
		scope   identity.Scope
		columns columns
		open    bool // to everybody
		anyKey  bool
	}
	var rpcs []rpc
	for service, info := range s.grpc.GetServiceInfo() {
		short := strings.TrimPrefix(service, "fanout.v1.")
		for _, m := range info.Methods {
			r := rpc{method: "/" + service + "/" + m.Name, request: request(t, service, m.Name)}
			r.scope, _ = of(scopes, short, m.Name)
			r.columns, _ = of(limited, short, m.Name)
			r.open = r.method == "/grpc.health.v1.Health/Check" || r.method == "/grpc.health.v1.Health/Watch"
			r.anyKey = !strings.HasPrefix(service, "fanout.")
			rpcs = append(rpcs, r)
		}
	}
	if len(rpcs) < 25 {
		t.Fatalf("%d RPCs are served, which are too few", len(rpcs))
	}
	var calling sync.WaitGroup
	for _, c := range callers {
		o := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: servers.Pool()}
		if c.certificate != "" {
			o.Certificates = []tls.Certificate{clients.Issue(t, c.certificate).TLS(t)}
		}
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(o)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		calling.Go(func() {
			for _, r := range rpcs {
				want := c.refused
				switch {
				case r.open:
					want = ""
				case want == "" && !r.anyKey:
					want = c.may(r.scope, r.columns)
				}
				got, code := refusal(t.Context(), conn, r.method, c.key, r.request)
				wantCode := map[string]codes.Code{"SCOPE_MISSING": codes.PermissionDenied, "KEY_LIMITED": codes.PermissionDenied}[want]
				if want != "" && wantCode == codes.OK {
					wantCode = codes.Unauthenticated
				}
				if got != want || want != "" && code != wantCode {
					t.Errorf("%s %s: refused for %q (%v), want %q", r.method, c.name, got, code, want)
				}
			}
		})
	}
	calling.Wait()
	t.Logf("%d callers called %d RPCs each", len(callers), len(rpcs))
}

// serveTLS serves as the daemon does, with the namespaces / and /n and no browser, until the
// test ends.
func serveTLS(t *testing.T, keys []identity.Key, o *tls.Config) (s *Server, address string) {
	t.Helper()
	a, err := identity.NewAuthenticator(keys, false)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	events := dispatch.New(dispatch.Options{Logger: quiet})
	so := sio.Options{Namespaces: []string{"/", "/n"}, Backend: events}
	so.Engine.Logger = quiet
	sockets, err := sio.NewServer(so)
	if err != nil {
		t.Fatal(err)
	}
	services := control.New(sockets, control.Options{Logger: quiet, Dispatcher: control.DispatcherOf(events)})
	s = New(services, a, Options{TLS: o})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	both := h2split.Listen(connections.New(connections.Options{Logger: quiet, Timeout: time.Hour}).Listen(l), h2split.Options{TLS: o, Timeout: time.Minute})
	served := make(chan error, 1)
	go func() { served <- s.Serve(both.HTTP2()) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-served, sockets.Shutdown(context.Background())); err != nil {
			t.Error(err)
		}
		services.Wait()
	})
	return s, l.Addr().String()
}
