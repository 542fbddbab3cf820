package api

import (
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
)

// Register registers all services that there are, and health, which tells of them.
// Reflection is registered by the transport, whose services it lists.
func Register(to grpc.ServiceRegistrar, s *control.Services) {
	names := map[string]bool{
		"": true, fanoutv1.EmitterService_ServiceDesc.ServiceName: true,
		fanoutv1.RegistryService_ServiceDesc.ServiceName: true, fanoutv1.AdminService_ServiceDesc.ServiceName: true,
	}
	fanoutv1.RegisterEmitterServiceServer(to, s.Emitter)
	fanoutv1.RegisterRegistryServiceServer(to, s.Registry)
	fanoutv1.RegisterAdminServiceServer(to, s.Admin)
	if s.Events != nil {
		fanoutv1.RegisterEventServiceServer(to, s.Events)
		names[fanoutv1.EventService_ServiceDesc.ServiceName] = true
	}
	healthv1.RegisterHealthServer(to, &health{services: names, ended: s.ServingEnded()})
}
