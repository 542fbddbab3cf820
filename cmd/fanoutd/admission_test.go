package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookv1 "github.com/fanoutd/fanoutd/gen/fanout/hook/v1"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// backend is an authorizer of the user's, on a unix socket.
type backend struct {
	hookv1.UnimplementedAuthorizerServiceServer
	answer func(*hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error)
	asked  atomic.Int64
	key    atomic.Value // string: the authorization of the last call
}

// lastKey returns what the last call brought as its authorization.
func (b *backend) lastKey() string {
	key, _ := b.key.Load().(string)
	return key
}

func (b *backend) Authorize(ctx context.Context, req *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	b.asked.Add(1)
	b.key.Store(strings.Join(metadata.ValueFromIncomingContext(ctx, "authorization"), ","))
	return b.answer(req)
}

// serveHook returns the backend's address.
func serveHook(t *testing.T, b *backend) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	hookv1.RegisterAuthorizerServiceServer(s, b)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "unix:" + path
}

func allows(m *hookv1.AuthorizeResponse_Allow) func(*hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	return func(*hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
		return &hookv1.AuthorizeResponse{Decision: &hookv1.AuthorizeResponse_Allow_{Allow: m}}, nil
	}
}

func refusesHook(m *hookv1.AuthorizeResponse_Refuse) func(*hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	return func(*hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
		return &hookv1.AuthorizeResponse{Decision: &hookv1.AuthorizeResponse_Refuse_{Refuse: m}}, nil
	}
}

// mintToken runs fanoutd token.
func mintToken(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr strings.Builder
	if code := run(t.Context(), append([]string{"token"}, args...), nil, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	return strings.TrimSuffix(stdout.String(), "\n")
}

func TestDecide(t *testing.T) {
	good := mintToken(t, tokenArgs("--user=42", "--room=a", `--data={"x":1,"y":1}`, "--ttl=1h")...)
	foreign := mintToken(t, tokenArgs("--user=42", "--jwt-issuer=somebody else")...)
	in := func(token string) []byte { return []byte(`{"token":"` + token + `"}`) }
	soon, later := time.Now().Add(time.Minute).UTC(), time.Now().Add(48*time.Hour).UTC()
	data, err := structpb.NewStruct(map[string]any{"y": 2, "z": 2})
	if err != nil {
		t.Fatal(err)
	}
	fails := func(*hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
		return nil, status.Error(codes.Internal, "database: password s3cr3t")
	}
	tests := []struct {
		name   string
		tokens bool
		hook   func(*hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error)
		auth   []byte
		header string
		want   sio.Admission // without Expire
		expire time.Duration // about; 0: never
		refuse string        // message of the refusal; empty: admitted
		data   string
		asked  int64 // calls of the hook

		passing bool // nobody decides, for now
	}{
		{name: "nothing is configured"},
		{name: "token", tokens: true, auth: in(good), want: sio.Admission{User: "42", Rooms: []string{"a"}, Data: map[string]any{"x": 1.0, "y": 1.0}}, expire: time.Hour},
		{name: "token in the header", tokens: true, header: "Bearer " + good, want: sio.Admission{User: "42", Rooms: []string{"a"}, Data: map[string]any{"x": 1.0, "y": 1.0}}, expire: time.Hour},
		{name: "no token", tokens: true, refuse: "token missing"},
		{name: "token for others", tokens: true, auth: in(foreign), refuse: "token invalid"},
		{name: "garbage", tokens: true, auth: in("x"), refuse: "token invalid"},
		{name: "hook", hook: allows(&hookv1.AuthorizeResponse_Allow{UserId: "7", Rooms: []string{"b"}, Data: data, ExpireAt: timestamppb.New(soon)}),
			want: sio.Admission{User: "7", Rooms: []string{"b"}, Data: map[string]any{"y": 2.0, "z": 2.0}}, expire: time.Minute, asked: 1},
		{name: "hook that says nothing", hook: allows(nil), asked: 1},
		{name: "hook refuses", hook: refusesHook(&hookv1.AuthorizeResponse_Refuse{Message: "banned", Data: structpb.NewStringValue("d")}), refuse: "banned", data: `"d"`, asked: 1},
		{name: "hook fails", hook: fails, passing: true, asked: 1},
		{name: "both", tokens: true, auth: in(good), hook: allows(&hookv1.AuthorizeResponse_Allow{UserId: "7", Rooms: []string{"b"}, Data: data, ExpireAt: timestamppb.New(later)}),
			want: sio.Admission{User: "7", Rooms: []string{"a", "b"}, Data: map[string]any{"x": 1.0, "y": 2.0, "z": 2.0}}, expire: time.Hour, asked: 1},
		{name: "both, the hook sooner", tokens: true, auth: in(good), hook: allows(&hookv1.AuthorizeResponse_Allow{ExpireAt: timestamppb.New(soon)}),
			want: sio.Admission{User: "42", Rooms: []string{"a"}, Data: map[string]any{"x": 1.0, "y": 1.0}}, expire: time.Minute, asked: 1},
		{name: "both, the hook is told the user", tokens: true, auth: in(good), hook: func(req *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
			return allows(&hookv1.AuthorizeResponse_Allow{UserId: "was " + req.GetUserId()})(req)
		}, want: sio.Admission{User: "was 42", Rooms: []string{"a"}, Data: map[string]any{"x": 1.0, "y": 1.0}}, expire: time.Hour, asked: 1},
		{name: "both, the token is bad", tokens: true, auth: in(foreign), hook: allows(nil), refuse: "token invalid"},
		{name: "both, the hook refuses", tokens: true, auth: in(good), hook: refusesHook(nil), refuse: "not authorized", asked: 1},
		{name: "both, the hook fails", tokens: true, auth: in(good), hook: fails, passing: true, asked: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var args []string
			if tt.tokens {
				args = tokenArgs()
			}
			b := &backend{answer: tt.hook}
			if tt.hook != nil {
				args = append(args, "--hook="+serveHook(t, b))
			}
			c, err := load(args, nil)
			if err != nil {
				t.Fatal(err)
			}
			sources, err := newAdmissionSources(c, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer sources.close()
			got, err := sources.then(admission.Sources{}, func(string) bool { return false }).Decide(t.Context(), &admission.Request{
				Connection: func() sio.Connection { return sio.Connection{ID: "id", Namespace: "/"} }, Auth: tt.auth, Authorization: tt.header,
				SecretQuery: func(name string) string { return map[string]string{"token": good}[name] },
			}, sio.Admission{})
			var refusal *sio.Refusal
			var unavailable *sio.Unavailable
			switch {
			case tt.passing:
				if !errors.As(err, &unavailable) || unavailable.Message != "authorization unavailable" {
					t.Errorf("got %+v, %v, want a failure that may pass", got, err)
				}
			case tt.refuse != "":
				if !errors.As(err, &refusal) || refusal.Message != tt.refuse || string(refusal.Data) != tt.data {
					t.Errorf("got %+v, %v, want the refusal %q", got, err, tt.refuse)
				}
			case err != nil:
				t.Errorf("refused: %v", err)
			}
			if left := time.Until(got.Expire); got.Expire.IsZero() != (tt.expire == 0) || tt.expire != 0 && (left > tt.expire || left < tt.expire/2) {
				t.Errorf("expires in %v, want %v", left, tt.expire)
			}
			got.Expire = time.Time{}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if n := b.asked.Load(); n != tt.asked {
				t.Errorf("the hook was asked %d times, want %d", n, tt.asked)
			}
		})
	}
}

// join opens a session, asks for the default namespace with auth, and expects
// an answer that starts so.
func join(t *testing.T, address, auth, answer string) browser {
	t.Helper()
	b := knock(t, address, auth)
	b.read(t, answer)
	return b
}

// knock is join without the answer.
func knock(t *testing.T, address, auth string) browser {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial("ws://"+address+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	t.Cleanup(func() { conn.Close() })
	b := browser{conn}
	b.read(t, "0{")
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40"+auth)); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestEveryNamespaceOfADaemon: what only the star of namespaces has the hook lets clients into,
// and a token alone does not.
func TestEveryNamespaceOfADaemon(t *testing.T) {
	b := &backend{answer: func(req *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
		if req.GetNamespace() == "/other" {
			return refusesHook(&hookv1.AuthorizeResponse_Refuse{Message: "no such namespace"})(req)
		}
		return allows(nil)(req)
	}}
	d := start(t, "--namespaces=*", "--hook="+serveHook(t, b))
	join(t, d.at["browsers"], "/rooms/1,", `40/rooms/1,{"sid":"`)
	join(t, d.at["browsers"], "", `40{"sid":"`)
	join(t, d.at["browsers"], "/other,", `44/other,{"message":"no such namespace"}`)

	d = start(t, tokenArgs("--namespaces=*,/open")...)
	auth := `{"token":"` + mintToken(t, tokenArgs("--user=42")...) + `"}`
	join(t, d.at["browsers"], "/open,"+auth, `40/open,{"sid":"`)
	in := knock(t, d.at["browsers"], "/rooms/1,"+auth)
	in.setDeadline(t)
	if _, _, err := in.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) || !strings.Contains(err.Error(), sio.ReasonUnavailable) {
		t.Errorf("it ends with %v, want %s", err, sio.ReasonUnavailable)
	}
}

// TestAuthorizedDaemon: tokens and hook, as browsers and operators see them.
func TestAuthorizedDaemon(t *testing.T) {
	b := &backend{answer: func(req *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
		if req.GetUserId() == "banned" {
			return refusesHook(&hookv1.AuthorizeResponse_Refuse{Message: "go away"})(req)
		}
		return allows(&hookv1.AuthorizeResponse_Allow{Rooms: []string{"lobby"}})(req)
	}}
	d := start(t, tokenArgs("--hook="+serveHook(t, b), "--log-level=debug")...)
	good := mintToken(t, tokenArgs("--user=42", "--room=a")...)
	banned := mintToken(t, tokenArgs("--user=banned")...)

	join(t, d.at["browsers"], "", `44{"message":"token missing"}`)
	join(t, d.at["browsers"], `{"token":"`+good+`x"}`, `44{"message":"token invalid"}`)
	join(t, d.at["browsers"], `{"token":"`+banned+`"}`, `44{"message":"go away"}`)
	join(t, d.at["browsers"], `{"token":"`+good+`"}`, `40{"sid":"`)

	registry := fanoutv1.NewRegistryServiceClient(dialControl(t, d.at["backends"]))
	list, err := registry.ListConnections(t.Context(), &fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{Users: []string{"42"}}})
	if err != nil || len(list.GetConnections()) != 1 || list.GetConnections()[0].GetUserId() != "42" {
		t.Fatalf("ListConnections: %v, %v", list, err)
	}
	if rooms := strings.Join(list.GetConnections()[0].GetRooms(), " "); !strings.Contains(rooms, "a") || !strings.Contains(rooms, "lobby") {
		t.Errorf("rooms: %s", rooms)
	}
	_, metrics := d.get(t, "operators", "/metrics")
	for _, want := range []string{
		`fanoutd_tokens_total{outcome="accepted"} 2`, `fanoutd_tokens_total{outcome="token missing"} 1`, `fanoutd_tokens_total{outcome="token invalid"} 1`,
		`fanoutd_admissions_total{outcome="admitted"} 1`, `fanoutd_admissions_total{outcome="refused"} 3`, `fanoutd_hook_decisions_total{outcome="allowed"} 1`, `fanoutd_hook_decisions_total{outcome="refused"} 1`, "fanoutd_hook_calls 0",
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s in the metrics", want)
		}
	}
	for _, secret := range []string{jwtSecret, good, banned} {
		if strings.Contains(d.logs.String(), secret) || strings.Contains(metrics, secret) {
			t.Errorf("the log or the metrics show %.20s…", secret)
		}
	}
	if !strings.Contains(d.logs.String(), "signature is invalid") {
		t.Errorf("the debug log does not say why:\n%s", d.logs)
	}
	d.stop()
	if code := d.wait(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, d.logs)
	}
}

// TestExpiredTokenEndsTheConnection, so that the client comes back with a new one.
func TestExpiredTokenEndsTheConnection(t *testing.T) {
	d := start(t, tokenArgs()...)
	token := mintToken(t, tokenArgs("--user=42", "--ttl=2s")...)
	auth := `{"token":"` + token + `"}`
	b := join(t, d.at["browsers"], auth, `40{"sid":"`)
	b.end(t)
	join(t, d.at["browsers"], auth, `44{"message":"token expired"}`)
}
