package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// rewrite gives a file another content, and has the daemons of this process read it.
func rewrite(t *testing.T, d *running, path, text, logged string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.logs.await(t, logged)
}

// accepted and refused are the answers to a CONNECT.
const (
	accepted = `40{"sid":"`
	refused  = `44{"message":"token invalid"}`
)

// The secret of tokens is exchanged while events go out: whoever came in by the old one stays
// and misses nothing, and comes in by it no more.
func TestSecretIsExchangedUnderLoad(t *testing.T) {
	const next = "second-second-second-second-second"
	secret := writeFile(t, jwtSecret)
	d := start(t, "--jwt-secret-file="+secret, "--jwt-algorithms=HS256", "--jwt-issuer=me", "--jwt-audience=fanoutd",
		"--max-handshake-rate=0", "--ping-interval=5m")
	old := `{"token":"` + mintToken(t, tokenArgs("--user=42", "--room=load")...) + `"}`
	by := `{"token":"` + mintToken(t, append(tokenArgs("--user=42"), "--jwt-secret="+next)...) + `"}`
	backend := fanoutv1.NewEmitterServiceClient(dialControl(t, d.at["backends"]))
	underLoad(t, func() browser { return join(t, d.at["browsers"], old, accepted) }, emitTo(t, backend, &fanoutv1.Target{Rooms: []string{"load"}}), func() {
		join(t, d.at["browsers"], by, refused)
		rewrite(t, d, secret, next, "the settings have been read again")
		join(t, d.at["browsers"], by, accepted)
		join(t, d.at["browsers"], old, refused)
	})
}

// published is a JWK Set at a URL, and the keys that may be in it.
type published struct {
	set  atomic.Pointer[string]
	keys map[string]*ecdsa.PrivateKey // by kid
}

func newPublished(t *testing.T, kids ...string) *published {
	t.Helper()
	p := &published{keys: map[string]*ecdsa.PrivateKey{}}
	for _, kid := range kids {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p.keys[kid] = key
	}
	return p
}

// publish makes this key the only one.
func (p *published) publish(t *testing.T, kid string) {
	t.Helper()
	point, err := p.keys[kid].PublicKey.Bytes() // 4, x and y
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	set := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":%q,"x":%q,"y":%q}]}`, kid, text(point[1:33]), text(point[33:]))
	p.set.Store(&set)
}

func (p *published) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte(*p.set.Load()))
}

// auth is what a client says that has a token signed with this key.
func (p *published) auth(t *testing.T, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "me", "aud": "fanoutd", "sub": "42", "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = kid
	signed, err := token.SignedString(p.keys[kid])
	if err != nil {
		t.Fatal(err)
	}
	return `{"token":"` + signed + `"}`
}

// joinInTheEnd connects again and again while it is cut off, as stock clients do, and wants
// this answer in the end.
func joinInTheEnd(t *testing.T, address, auth, want string) {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(100 * time.Millisecond) {
		conn, resp, err := websocket.DefaultDialer.Dial("ws://"+address+"/socket.io/?EIO=4&transport=websocket", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		err = conn.WriteMessage(websocket.TextMessage, []byte("40"+auth))
		answer := ""
		for err == nil && !strings.HasPrefix(answer, "4") { // the session's open packet comes first
			var m []byte
			_, m, err = conn.ReadMessage()
			answer = string(m)
		}
		conn.Close()
		if strings.HasPrefix(answer, want) {
			return
		}
		if err == nil {
			t.Fatalf("got %s, want %s", answer, want)
		}
	}
	t.Fatal("nobody is answered")
}

// The issuer of tokens publishes another key while events go out. A token that names it has
// the set fetched again; from then on one of the old key lets nobody in, and whoever came in
// by it stays.
func TestKeySetIsExchangedUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for 20 s; run without -short")
	}
	keys := newPublished(t, "one", "two")
	keys.publish(t, "one")
	site := httptest.NewServer(keys)
	t.Cleanup(site.Close)
	d := start(t, "--jwks-url="+site.URL, "--jwt-algorithms=ES256", "--jwt-issuer=me", "--jwt-audience=fanoutd",
		"--max-handshake-rate=0", "--ping-interval=5m")
	old, by := keys.auth(t, "one"), keys.auth(t, "two")
	backend := fanoutv1.NewEmitterServiceClient(dialControl(t, d.at["backends"]))
	underLoad(t, func() browser { return join(t, d.at["browsers"], old, accepted) }, emitTo(t, backend, &fanoutv1.Target{All: true}), func() {
		keys.publish(t, "two")
		join(t, d.at["browsers"], old, accepted) // nobody has named the new one yet
		// Ten seconds lie between fetches that tokens ask for, and a key that is not known
		// is not refused before the next.
		joinInTheEnd(t, d.at["browsers"], by, accepted)
		joinInTheEnd(t, d.at["browsers"], old, refused)
	})
}

// The key of backends is exchanged while events go out: those with the next one go on, streams
// of the old one end, and what its consumer had not settled goes to the one with the next. No
// browser is dropped or misses an event.
func TestControlKeysAreExchangedUnderLoad(t *testing.T) {
	const old, next = "old-0123456789abcdef", "next-0123456789abcdef"
	entry := func(key string) string {
		return "- {name: shop, key: " + key + ", scopes: [emit, consume]}\n"
	}
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(keys, []byte(entry(old)), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, "--control-keys-file="+keys, "--max-handshake-rate=0", "--ping-interval=5m")
	by := func(key string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key)
	}
	conn := dialControl(t, d.at["backends"])
	emitter, events := fanoutv1.NewEmitterServiceClient(conn), fanoutv1.NewEventServiceClient(conn)
	consume := func(key, id string) grpc.BidiStreamingClient[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse] {
		t.Helper()
		s, err := events.Consume(by(key))
		if err != nil {
			t.Fatal(err)
		}
		open := &fanoutv1.ConsumeRequest_Open{Group: "g", ConsumerId: id}
		if err := s.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: open}}); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Recv(); m.GetReady() == nil {
			t.Fatalf("got %v, %v, want ready", m, err)
		}
		return s
	}
	ended := func(what string, err error) {
		t.Helper()
		for _, detail := range status.Convert(err).Details() {
			if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetReason() == "KEY_ENDED" && status.Code(err) == codes.Unauthenticated {
				return
			}
		}
		t.Errorf("%s: got %v, want UNAUTHENTICATED, KEY_ENDED", what, err)
	}
	delivered := func(s grpc.BidiStreamingClient[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse]) *fanoutv1.Event {
		t.Helper()
		m, err := s.Recv()
		if err != nil || len(m.GetEvents().GetEvents()) != 1 {
			t.Fatalf("got %v, %v, want one event", m, err)
		}
		return m.GetEvents().GetEvents()[0]
	}
	first := consume(old, "first")
	stream, err := emitter.EmitStream(by(old))
	if err != nil {
		t.Fatal(err)
	}
	var using atomic.Value // the key that the emitter has
	using.Store(old)
	emit := func(event, args string) error {
		_, err := emitter.Emit(by(using.Load().(string)), &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: event, ArgsJson: args})
		return err
	}
	underLoad(t, func() browser { return connect(t, d.at["browsers"]) }, emit, func() {
		b := connect(t, d.at["browsers"])
		if err := b.WriteMessage(1, []byte(`42["hi"]`)); err != nil {
			t.Fatal(err)
		}
		if e := delivered(first); e.GetEvent() != "hi" || e.GetAttempt() != 1 {
			t.Errorf("got %v", e)
		}
		rewrite(t, d, keys, entry(old)+entry(next), `"keys":2`)
		using.Store(next)
		second := consume(next, "second")
		if err := emitted(stream, 1); err != nil {
			t.Errorf("a stream of the old key while both are valid: %v", err)
		}
		rewrite(t, d, keys, entry(next), `"keys":1`)
		for {
			if _, err := first.Recv(); err != nil {
				ended("the old consumer", err)
				break
			}
		}
		_, err := stream.Recv()
		ended("the old emit stream", err)
		if e := delivered(second); e.GetEvent() != "hi" || e.GetAttempt() != 2 {
			t.Errorf("got %v, want what the old consumer did not settle", e)
		}
		if got := emits(t, conn, old); got != codes.Unauthenticated {
			t.Errorf("a call with the old key: %v", got)
		}
	})
}

// emitted emits to nobody by a stream, and waits until that is done.
func emitted(s grpc.BidiStreamingClient[fanoutv1.EmitStreamRequest, fanoutv1.EmitStreamResponse], sequence uint64) error {
	err := s.Send(&fanoutv1.EmitStreamRequest{Sequence: sequence, Emit: &fanoutv1.EmitRequest{To: &fanoutv1.Target{Ids: []string{"nobody"}}, Event: "e"}})
	if err != nil {
		return err
	}
	m, err := s.Recv()
	if err == nil && m.GetAckedThrough() != sequence {
		err = fmt.Errorf("got %v", m)
	}
	return err
}
