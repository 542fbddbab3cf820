package api

import (
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/middleware"
)

// Access says what calls need of the services that every transport serves: those of
// package control, health and reflection.
var Access = middleware.Access{
	// Probes of orchestrators cannot send headers, and they learn only whether
	// this daemon serves.
	Open: []string{healthv1.Health_Check_FullMethodName, healthv1.Health_Watch_FullMethodName},
	// What could be called is no secret to who may call some of it.
	AnyKey: []string{
		healthv1.Health_List_FullMethodName,
		reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName,
		reflectionv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName,
	},
	Scope:         control.ScopeOf,
	HoldsToLimits: control.HoldsToLimits,
}
