// Package httpserver serves the control API over HTTP: the services of package control
// with health and reflection, behind what package middleware puts around every call, by
// the protocols of Connect, gRPC-Web and, for clients that come by TLS and might have
// spoken HTTP/1.1, gRPC. Calls with one request are answered in plain JSON besides, those
// with many answers by a line of JSON for each, or as server-sent events.
//
// It holds no service logic, and of protocols what connect-go does not have: lines and
// events. It keeps web pages out (guard.go), and tells of itself (pages.go).
package httpserver
