package api

import (
	"context"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/control"
)

// MaxServiceName bounds the names of services that health is asked about, in bytes:
// longer than any there is.
const MaxServiceName = 256

// health is grpc.health.v1: every service, and the server as a whole under the
// empty name, serves until the drain.
//
// It stands in for grpc's own health server because watches have to end at the
// drain: each would hold up a graceful stop for as long as that may take.
type health struct {
	healthv1.UnimplementedHealthServer

	services map[string]bool // the names there are; not written while serving
	ended    <-chan struct{} // closed when they do not serve any more
}

var _ healthv1.HealthServer = (*health)(nil)

func (h *health) status(service string) healthv1.HealthCheckResponse_ServingStatus {
	if !h.services[service] {
		return healthv1.HealthCheckResponse_SERVICE_UNKNOWN
	}
	select {
	case <-h.ended:
		return healthv1.HealthCheckResponse_NOT_SERVING
	default:
		return healthv1.HealthCheckResponse_SERVING
	}
}

// Check answers at once. NOT_FOUND if there is no such service.
func (h *health) Check(_ context.Context, req *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	st := h.status(req.GetService())
	if st == healthv1.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, control.ErrUnknownService
	}
	return &healthv1.HealthCheckResponse{Status: st}, nil
}

// List answers for all services at once.
func (h *health) List(context.Context, *healthv1.HealthListRequest) (*healthv1.HealthListResponse, error) {
	resp := &healthv1.HealthListResponse{Statuses: make(map[string]*healthv1.HealthCheckResponse)}
	for name := range h.services {
		resp.Statuses[name] = &healthv1.HealthCheckResponse{Status: h.status(name)}
	}
	return resp, nil
}

// Watch tells the status and, at the drain, the new one; then it ends with
// UNAVAILABLE. A name that is too long for any service is NOT_FOUND.
func (h *health) Watch(req *healthv1.HealthCheckRequest, stream grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	if len(req.GetService()) > MaxServiceName {
		return control.ErrUnknownService // and is not kept, as long as the stream would
	}
	told := h.status(req.GetService())
	if err := stream.Send(&healthv1.HealthCheckResponse{Status: told}); err != nil {
		return err
	}
	select {
	case <-h.ended:
	case <-stream.Context().Done():
		return status.FromContextError(stream.Context().Err()).Err()
	}
	if now := h.status(req.GetService()); now != told {
		if err := stream.Send(&healthv1.HealthCheckResponse{Status: now}); err != nil {
			return err
		}
	}
	return control.ErrClosing
}
