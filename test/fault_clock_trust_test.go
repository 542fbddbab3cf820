package test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

// expiryPatience is longer than the minute in which an expiry is noticed after the clock
// was set.
const expiryPatience = 75 * time.Second

const clockSecret = "a secret of thirty-two bytes, or more"

// clockToken is a token that runs out in so long, by the right clock.
func clockToken(t *testing.T, ttl time.Duration) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": "test", "aud": "test", "sub": "42", "exp": jwt.NewNumericDate(time.Now().Add(ttl))}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(clockSecret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// joinBy connects with a token, and returns how it was answered.
func (s *siege) joinBy(token string) (w *rawSocket, answer string) {
	s.Helper()
	w, err := s.webSocket("")
	if err == nil {
		err = w.say(fmt.Sprintf(`40{"token":%q}`, token))
	}
	if err == nil {
		answer, err = w.hear()
	}
	if err != nil {
		s.Fatal(err)
	}
	return w, answer
}

// letIn is joinBy of somebody who has to be let in.
func (s *siege) letIn(token string) *rawSocket {
	s.Helper()
	w, answer := s.joinBy(token)
	s.Cleanup(func() { _ = w.Close() })
	if !strings.HasPrefix(answer, "40") {
		s.Fatalf("a token that is good by the daemon's clock is answered %q", answer)
	}
	return w
}

// closedAsExpired checks that the session ends for that reason, and soon; pings it answers.
func (s *siege) closedAsExpired(w *rawSocket) {
	s.Helper()
	_ = w.SetDeadline(time.Now().Add(expiryPatience)) // an error is told by what follows
	if err := w.end(); !closedWith(err, "authorization expired") {
		s.Errorf("the session of a token that has run out: %v", err)
	}
}

// TestFaultClockTokens: tokens are good, and sessions last, for as long as the daemon's clock
// says, whoever sets it and when.
func TestFaultClockTokens(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a daemon with a clock that can be set; run without -short")
	}
	t.Parallel() // it mostly waits
	path := faultyBinary(t)
	ctx, cancel := context.WithTimeout(t.Context(), clockPatience)
	t.Cleanup(cancel)
	start := func(t *testing.T) *siege {
		t.Helper()
		// Nobody here answers pings.
		return &siege{T: t, ctx: ctx, daemon: runDaemon(ctx, t, path, "--jwt-secret="+clockSecret, "--jwt-algorithms=HS256", "--jwt-issuer=test", "--jwt-audience=test", "--ping-interval=1h")}
	}
	t.Run("ahead", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		old, lasting := clockToken(t, 30*time.Minute), clockToken(t, 20*365*24*time.Hour)
		ends, stays := s.letIn(old), s.letIn(lasting)
		setClock(ctx, t, s.daemon, 0, time.Hour)
		if w, answer := s.joinBy(old); !strings.HasPrefix(answer, "44") {
			t.Errorf("a token that has run out is answered %q", answer)
		} else {
			_ = w.Close()
		}
		s.letIn(clockToken(t, 2*time.Hour))
		s.closedAsExpired(ends)
		setClock(ctx, t, s.daemon, time.Hour, tenYears)
		s.letIn(lasting)
		s.alive(stays)
	})
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		const ttl = 5 * time.Second
		short := clockToken(t, ttl)
		w := s.letIn(short)
		setClock(ctx, t, s.daemon, 0, -time.Hour)
		// When the timer ends that was set before, the token is good for an hour more.
		time.Sleep(ttl + time.Second)
		s.alive(w)
		s.letIn(short)
		setClock(ctx, t, s.daemon, -time.Hour, 0)
		s.closedAsExpired(w)
		setClock(ctx, t, s.daemon, 0, -tenYears)
		s.letIn(short)
	})
}

// alive checks that a session hears what everybody is sent.
func (s *siege) alive(w *rawSocket) {
	s.Helper()
	emitter, _ := dialControl(s.T, s.control)
	if _, err := emitter.Emit(s.ctx, &fanoutv1.EmitRequest{To: toEverybody, Event: "alive"}); err != nil {
		s.Fatal(err)
	}
	w.hearEvent(s, "alive")
}

// TestFaultClockTLS: with a clock that is off by ten years connections by TLS go on, and
// browsers are served; backends whose certificates are not good by it cannot connect anew,
// and can when it is right again.
func TestFaultClockTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a daemon with a clock that can be set; run without -short")
	}
	t.Parallel() // it mostly waits
	path := faultyBinary(t)
	ctx, cancel := context.WithTimeout(t.Context(), clockPatience)
	defer cancel()
	ca := certtest.New(t, "both")
	cert, key := ca.Issue(t, "server").Write(t, t.TempDir())
	d := runDaemon(ctx, t, path, "--tls-cert-file="+cert, "--tls-key-file="+key,
		"--control-tls-cert-file="+cert, "--control-tls-key-file="+key, "--control-client-ca-file="+certtest.Write(t, t.TempDir(), "ca.pem", ca.PEM()))
	backend := credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS13, RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Issue(t, "backend").TLS(t)}})
	connect := func() *grpc.ClientConn {
		conn, err := grpc.NewClient("passthrough:///"+d.control, grpc.WithTransportCredentials(backend))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	call := func(conn *grpc.ClientConn) error {
		_, err := fanoutv1.NewEmitterServiceClient(conn).Emit(ctx, &fanoutv1.EmitRequest{To: toEverybody, Event: "e"})
		return err
	}
	there := connect()
	if err := call(there); err != nil {
		t.Fatal(err)
	}
	browser := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	off := time.Duration(0)
	for _, to := range []time.Duration{tenYears, -tenYears, 0} {
		setClock(ctx, t, d, off, to)
		off = to
		if err := call(there); err != nil {
			t.Errorf("a connection that was there, with a clock off by %v: %v", off, err)
		}
		if err := call(connect()); off != 0 && status.Code(err) != codes.Unavailable || off == 0 && err != nil {
			t.Errorf("a new connection of a backend, with a clock off by %v: %v", off, err)
		}
		for range 2 { // the second may go on with the first one's session
			if err := requestByTLS(ctx, d.listen, browser); err != nil {
				t.Errorf("a browser, with a clock off by %v: %v", off, err)
			}
		}
	}
}

// requestByTLS has a browser open a session over a connection of its own.
func requestByTLS(ctx context.Context, address string, c *tls.Config) error {
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		return err
	}
	var head [15]byte
	if _, err := conn.Read(head[:]); err != nil {
		return err
	}
	if string(head[:]) != "HTTP/1.1 200 OK" {
		return fmt.Errorf("answered %q", head)
	}
	return nil
}

// TestFaultClockRestart: a node that was killed comes back with a clock that is an hour
// behind, so that it seems to be older than itself: the others take it for what it is once
// they have missed the one before.
func TestFaultClockRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a daemon with a clock that can be set; run without -short")
	}
	t.Parallel() // it mostly waits
	path := faultyBinary(t)
	ctx, cancel := context.WithTimeout(t.Context(), clockPatience)
	defer cancel()
	nodes := startNodes(ctx, t, path, 2)
	if err := syscall.Kill(nodes[0].pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-nodes[0].ended
	nodes[0].ended <- nil // it was meant
	if err := os.WriteFile(path+".clock", []byte("-1h"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := &clusterNode{name: nodes[0].name, flags: nodes[0].flags}
	began := time.Now()
	again.start(ctx, t, path)
	for _, n := range []*clusterNode{again, nodes[1]} {
		n.meets(ctx, t, 2)
	}
	t.Logf("both nodes know each other %v after the start", time.Since(began).Round(10*time.Millisecond))
	again.emit(ctx, t, "e")
	nodes[1].emit(ctx, t, "e")
}
