// Package tracing makes OpenTelemetry spans of what a Socket.IO server does, and
// carries them on between nodes and to backends as W3C trace context. It knows no
// exporter; package otlp is one. Where nobody traces, nothing of it runs.
package tracing
