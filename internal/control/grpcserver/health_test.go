package grpcserver

import (
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/control"
)

const (
	serving    = healthv1.HealthCheckResponse_SERVING
	notServing = healthv1.HealthCheckResponse_NOT_SERVING
	unknown    = healthv1.HealthCheckResponse_SERVICE_UNKNOWN
)

func TestHealthTurnsAtDrain(t *testing.T) {
	s, conn := dial(t, &fakeHub{}, control.Options{})
	c := healthv1.NewHealthClient(conn)
	for _, want := range []healthv1.HealthCheckResponse_ServingStatus{serving, notServing} {
		for _, service := range []string{"", "fanout.v1.EmitterService", "fanout.v1.RegistryService", "fanout.v1.AdminService"} {
			resp, err := c.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || resp.GetStatus() != want {
				t.Errorf("Check(%q): got %v, %v, want %v", service, resp, err, want)
			}
		}
		list, err := c.List(t.Context(), &healthv1.HealthListRequest{})
		if err != nil || len(list.GetStatuses()) != 4 || list.GetStatuses()["fanout.v1.AdminService"].GetStatus() != want {
			t.Errorf("List: got %v, %v, want 4 times %v", list, err, want)
		}
		if _, err := c.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "no.Such"}); status.Code(err) != codes.NotFound {
			t.Errorf("Check of an unknown service: got %v, want NOT_FOUND", err)
		}
		s.services.NotServing()
	}
}

func TestHealthWatchEndsAtDrain(t *testing.T) {
	tests := []struct {
		name, service string
		want          []healthv1.HealthCheckResponse_ServingStatus
	}{
		{"all", "", []healthv1.HealthCheckResponse_ServingStatus{serving, notServing}},
		{"one", "fanout.v1.EmitterService", []healthv1.HealthCheckResponse_ServingStatus{serving, notServing}},
		{"none", "no.Such", []healthv1.HealthCheckResponse_ServingStatus{unknown}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, conn := dial(t, &fakeHub{}, control.Options{})
				w, err := healthv1.NewHealthClient(conn).Watch(t.Context(), &healthv1.HealthCheckRequest{Service: tt.service})
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range tt.want {
					resp, err := w.Recv()
					if err != nil || resp.GetStatus() != want {
						t.Fatalf("answer %d: got %v, %v, want %v", i, resp, err, want)
					}
					if i == 0 {
						synctest.Wait()
						s.services.NotServing()
					}
				}
				if _, err := w.Recv(); status.Code(err) != codes.Unavailable {
					t.Errorf("got %v, want UNAVAILABLE", err)
				}
			})
		})
	}
}
