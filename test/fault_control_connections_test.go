package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// strangersAtMost is how many connections of strangers the daemon keeps: a quarter of what
// control-max-connections is by default.
const strangersAtMost = 500

// connectionBytes is more than a connection to the control API takes, garbage included.
const connectionBytes = 80 << 10

// TestFaultControlConnections: strangers who connect to the control API and stay, silent,
// with no call, or with health checks that never end, keep nobody with a key out, and are
// gone after a while.
func TestFaultControlConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for timeouts; run without -short")
	}
	needLinux(t)
	needFiles(t, 5000)
	s := besiege(t, binary(t.Context(), t), "--control-key="+controlKey)
	strangers := func() float64 { return s.metrics()["fanoutd_control_connections_strangers"] }

	watched, err := s.watchHealth()
	if err != nil {
		t.Error(err)
	}
	silent := make([]net.Conn, 3000)
	err = swarm(len(silent), 20, func(i int) (err error) {
		if silent[i], err = net.Dial("tcp", s.control); err != nil || i%2 == 0 {
			return err
		}
		_, err = io.WriteString(silent[i], http2.ClientPreface)
		if err == nil {
			err = http2.NewFramer(silent[i], nil).WriteSettings()
		}
		if hasReset(err) {
			return nil // it had to make room before it said a word
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := strangers(); n < 1 || n > strangersAtMost {
		t.Errorf("%v connections are strangers', want no more than %d, and some", n, strangersAtMost)
	}
	// Each of these finds all places of strangers taken.
	for range 50 {
		conn := s.strangers(1)[0]
		_, err := fanoutv1.NewAdminServiceClient(conn).GetServerInfo(s.ctx, &fanoutv1.GetServerInfoRequest{}, grpc.PerRPCCredentials(keyed{}))
		if err != nil {
			t.Errorf("a caller with a key: %v", err)
		}
		_ = conn.Close()
	}
	for _, c := range silent { // whether they were crowded out or their time is over
		if _, err := io.Copy(io.Discard, c); err != nil && !hasReset(err) {
			t.Error(err)
		}
		_ = c.Close()
	}
	if err := watched(); status.Code(err) != codes.Unavailable {
		t.Errorf("a stranger's health check ended with %v, want UNAVAILABLE", err)
	}
	if n := strangers(); n > 0 {
		t.Errorf("%v connections are strangers' in the end", n)
	}
	for _, reason := range []string{"crowded-out", "no-call"} {
		if n := s.metrics()[fmt.Sprintf("fanoutd_control_connections_closed_total{reason=%q}", reason)]; n == 0 {
			t.Errorf("no metric counts what was closed: %s", reason)
		}
	}
	s.lift(smallGrowth + strangersAtMost*connectionBytes)
}

// watchHealth has a stranger watch the daemon's health as often as it may, and wants that once
// more is refused. It returns what waits for the end of one.
func (s *siege) watchHealth() (end func() error, err error) {
	health := healthv1.NewHealthClient(s.strangers(1)[0])
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	s.Cleanup(cancel)
	for i := range 11 {
		watch, err := health.Watch(ctx, &healthv1.HealthCheckRequest{})
		if err != nil {
			return nil, err
		}
		_, err = watch.Recv()
		switch {
		case i == 10 && status.Code(err) != codes.ResourceExhausted:
			return nil, fmt.Errorf("a health check too many: %w, want RESOURCE_EXHAUSTED", err)
		case i < 10 && err != nil:
			return nil, err
		case i == 0:
			end = func() error { _, err := watch.Recv(); return err }
		}
	}
	return end, nil
}

// hasReset reports whether err is that the peer has closed the connection, with something
// unread.
func hasReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
