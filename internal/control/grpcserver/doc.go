// Package grpcserver serves the control API over gRPC: the services of package
// control with health and reflection, behind what package middleware puts around
// every call, and within limits for each peer.
//
// It holds no service logic: another transport may serve the same services beside
// it.
package grpcserver
