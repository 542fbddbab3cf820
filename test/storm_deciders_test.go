package test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"

	"github.com/fanoutd/fanoutd/backend"
	hookv1 "github.com/fanoutd/fanoutd/gen/fanout/hook/v1"
)

// keyServer publishes a JWK Set, from some moment on.
type keyServer struct {
	url       string
	good, bad ed25519.PrivateKey // bad is not in the set
	up        atomic.Bool
}

func serveKeys(t *testing.T) *keyServer {
	t.Helper()
	public, good, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, bad, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	k := &keyServer{good: good, bad: bad}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !k.up.Load() {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","kid":"1","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	}))
	t.Cleanup(s.Close)
	k.url = s.URL
	return k
}

// comeBack has the set published after d.
func (k *keyServer) comeBack(d time.Duration) { time.AfterFunc(d, func() { k.up.Store(true) }) }

// token is one for the user, or one that somebody else has signed.
func (k *keyServer) token(user string, forged bool) string {
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": "test", "aud": "test", "sub": user, "exp": jwt.NewNumericDate(time.Now().Add(time.Hour)),
	})
	unsigned.Header["kid"] = "1"
	key := k.good
	if forged {
		key = k.bad
	}
	token, err := unsigned.SignedString(key)
	if err != nil {
		panic(err) // an Ed25519 key signs anything
	}
	return token
}

// hookServer is a hook that takes its time.
type hookServer struct {
	hookv1.UnimplementedAuthorizerServiceServer
	address string
	takes   time.Duration
	asked   atomic.Int64
}

func serveHook(t *testing.T, takes time.Duration) *hookServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hookServer{address: l.Addr().String(), takes: takes}
	s := grpc.NewServer()
	hookv1.RegisterAuthorizerServiceServer(s, h)
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) }) // it ends with Stop
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	return h
}

// Authorize allows whom it may.
func (h *hookServer) Authorize(ctx context.Context, r *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	h.asked.Add(1)
	select {
	case <-time.After(h.takes):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !strings.HasPrefix(r.GetUserId(), string(welcome)) && !strings.HasPrefix(r.GetUserId(), string(refusedByVerdict)) {
		return &hookv1.AuthorizeResponse{Decision: &hookv1.AuthorizeResponse_Refuse_{Refuse: &hookv1.AuthorizeResponse_Refuse{}}}, nil
	}
	return &hookv1.AuthorizeResponse{Decision: &hookv1.AuthorizeResponse_Allow_{Allow: &hookv1.AuthorizeResponse_Allow{}}}, nil
}

// authorizer is a consumer that authorises, and that may die and come again.
type authorizer struct {
	address string
	count   atomic.Int64
}

func (a *authorizer) decided() int { return int(a.count.Load()) }

// start starts it; stop has it die: its connection breaks.
func (a *authorizer) start(ctx context.Context, t *testing.T) (stop func()) {
	t.Helper()
	client, err := backend.Dial(ctx, a.address, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := client.Consumer(backend.ConsumerOptions{Group: "g", Grace: 100 * time.Millisecond})
	c.OnConnecting(func(_ context.Context, e *backend.Event) (backend.Grant, error) {
		a.count.Add(1)
		if !strings.HasPrefix(e.UserID, string(welcome)) {
			return backend.Grant{}, &backend.Refusal{}
		}
		return backend.Grant{}, nil
	})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	return sync.OnceFunc(func() { _ = client.Close(); cancel(); running.Wait() })
}
