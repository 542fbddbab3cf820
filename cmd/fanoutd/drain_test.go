package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

type drainStream = grpc.ServerStreamingClient[fanoutv1.DrainResponse]

// drain asks the daemon to drain, and returns the stream with its first message.
func (d *running) drain(ctx context.Context, t *testing.T, req *fanoutv1.DrainRequest) (drainStream, *fanoutv1.DrainResponse) {
	t.Helper()
	s, err := fanoutv1.NewAdminServiceClient(dialControl(t, d.at["backends"])).Drain(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return s, first
}

// TestDrainInPhases: an operator's Drain goes through its phases, with the durations of the
// request or, unset, of the settings; a second call joins it, and a caller that leaves stops
// nothing. Until sessions are closed everybody is served; the process ends with 0.
func TestDrainInPhases(t *testing.T) {
	const clients = 20
	d := start(t, "--drain-delay=4s", "--drain-time=1h")
	browsers := make([]browser, clients)
	for i := range browsers {
		browsers[i] = connect(t, d.at["browsers"])
	}
	s, first := d.drain(t.Context(), t, &fanoutv1.DrainRequest{Time: durationpb.New(2 * time.Second)})
	if first.GetPhase() != fanoutv1.DrainResponse_NOT_READY || first.GetSessions() != clients || first.GetConnections() != clients || first.GetClosed() != 0 ||
		first.GetDelay().AsDuration() != 4*time.Second || first.GetTime().AsDuration() != 2*time.Second {
		t.Errorf("the first message: %v", first)
	}
	leaving, cancel := context.WithCancel(t.Context())
	if _, joined := d.drain(leaving, t, &fanoutv1.DrainRequest{Node: first.GetNode(), Delay: durationpb.New(time.Hour)}); joined.GetDelay().AsDuration() != 4*time.Second {
		t.Errorf("who joins is told: %v", joined)
	}
	cancel()

	// Not ready, and serving.
	if code, body := d.get(t, "operators", "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "shutting down") {
		t.Errorf("/readyz: %d %q", code, body)
	}
	health := healthv1.NewHealthClient(dialControl(t, d.at["backends"]))
	if resp, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil || resp.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health: %v, %v", resp, err)
	}
	ends := make(chan string, clients)
	k := d.consume(t, &fanoutv1.ConsumeRequest_Open{Group: "g", Lifecycle: true, SkipExisting: true})
	go func() {
		defer close(ends)
		for {
			m, err := k.Recv()
			if err != nil {
				return
			}
			for _, e := range m.GetEvents().GetEvents() {
				if e.GetKind() == fanoutv1.Event_DISCONNECTED {
					ends <- e.GetReason()
				}
				_ = k.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{Ack: &fanoutv1.ConsumeRequest_Ack{DeliveryIds: []string{e.GetDeliveryId()}}}})
			}
		}
	}()
	if code, body := d.get(t, "browsers", "/socket.io/?EIO=4&transport=polling"); code != http.StatusOK {
		t.Errorf("a new session before the closing: %d %s", code, body)
	}

	phases := []fanoutv1.DrainResponse_Phase{first.GetPhase()}
	for {
		m, err := s.Recv()
		if err != nil {
			t.Errorf("the stream ended with %v, after %v", err, phases)
			break
		}
		if m.GetPhase() != phases[len(phases)-1] {
			phases = append(phases, m.GetPhase())
		}
		if m.GetPhase() == fanoutv1.DrainResponse_CLOSING && m.GetSessions() > 0 {
			if code, _ := d.get(t, "browsers", "/socket.io/?EIO=4&transport=polling"); code != http.StatusServiceUnavailable {
				t.Errorf("a new session during the closing: %d", code)
			}
		}
		if m.GetPhase() == fanoutv1.DrainResponse_DONE {
			if m.GetSessions() != 0 || m.GetClosed() != clients+1 {
				t.Errorf("the last message: %v", m)
			}
			break
		}
	}
	phases = slices.DeleteFunc(phases, func(p fanoutv1.DrainResponse_Phase) bool {
		return p == fanoutv1.DrainResponse_CONSUMERS // it may be over before anybody is told
	})
	if want := []fanoutv1.DrainResponse_Phase{0, 1, 3}; !slices.Equal(phases, want) {
		t.Errorf("phases %v, want %v", phases, want)
	}
	for _, b := range browsers {
		b.end(t)
	}
	n := 0
	for reason := range ends {
		if n++; reason != "server shutting down" {
			t.Errorf("a connection ended with %q", reason)
		}
	}
	if n != clients {
		t.Errorf("a consumer that joined during the delay heard of %d ends, want %d", n, clients)
	}
	if code := d.wait(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, d.logs)
	}
}

// TestDrainRefuses: what a Drain cannot do it says, and does not begin it.
func TestDrainRefuses(t *testing.T) {
	d := start(t)
	admin := fanoutv1.NewAdminServiceClient(dialControl(t, d.at["backends"]))
	for _, tt := range []struct {
		name string
		req  *fanoutv1.DrainRequest
		want codes.Code
	}{
		{"an unknown node", &fanoutv1.DrainRequest{Node: "nowhere"}, codes.NotFound},
		{"a negative delay", &fanoutv1.DrainRequest{Delay: durationpb.New(-1)}, codes.InvalidArgument},
		{"too long a time", &fanoutv1.DrainRequest{Time: durationpb.New(25 * time.Hour)}, codes.InvalidArgument},
		{"a long name", &fanoutv1.DrainRequest{Node: strings.Repeat("n", 257)}, codes.InvalidArgument},
	} {
		s, err := admin.Drain(t.Context(), tt.req)
		if err == nil {
			_, err = s.Recv()
		}
		if status.Code(err) != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if code, body := d.get(t, "operators", "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d %q", code, body)
	}
}

// TestDrainByConfig: the settings hold for SIGTERM too: the delay, and the closing after it.
func TestDrainByConfig(t *testing.T) {
	d := start(t, "--drain-delay=200ms", "--drain-time=500ms")
	browsers := make([]browser, 5)
	for i := range browsers {
		browsers[i] = connect(t, d.at["browsers"])
	}
	d.stop()
	for _, b := range browsers {
		b.end(t)
	}
	if code := d.wait(t); code != exitOK || !strings.Contains(d.logs.String(), `"delay":"200ms","over":"500ms"`) {
		t.Errorf("exit code %d:\n%s", code, d.logs)
	}
}
