// Package ops is what the operators' listener serves: liveness, readiness,
// metrics and profiles.
//
// It knows no Socket.IO and no gRPC: what it reports is handed to it as
// numbers and sentences. It authenticates nobody, so its listener belongs on
// loopback or on a network of operators.
package ops
