// Package ops is what the operators' listener serves: liveness, readiness,
// metrics and profiles.
//
// The packages below count what they do in plain Stats; this one alone knows how
// that is exported. It knows no gRPC, and nothing but the daemon knows it. It
// authenticates nobody, so its listener belongs on loopback or on a network of
// operators.
package ops
