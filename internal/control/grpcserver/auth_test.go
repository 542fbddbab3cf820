package grpcserver

import (
	"context"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
)

// calls are one call of every sort, each with whether it needs a key.
var calls = []struct {
	name     string
	needsKey bool
	call     func(context.Context, *grpc.ClientConn) error
}{
	{"unary", true, func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := fanoutv1.NewAdminServiceClient(c).GetServerInfo(ctx, &fanoutv1.GetServerInfoRequest{})
		return err
	}},
	{"stream", true, func(ctx context.Context, c *grpc.ClientConn) error {
		s, err := fanoutv1.NewEmitterServiceClient(c).EmitStream(ctx)
		if err != nil {
			return err
		}
		// The send may fail with io.EOF after a refusal; Recv has the reason.
		_ = s.Send(&fanoutv1.EmitStreamRequest{Sequence: 1, Emit: &fanoutv1.EmitRequest{To: toAll(), Event: "e"}})
		_, err = s.Recv()
		return err
	}},
	{"reflection", true, func(ctx context.Context, c *grpc.ClientConn) error {
		s, err := reflectionv1.NewServerReflectionClient(c).ServerReflectionInfo(ctx)
		if err != nil {
			return err
		}
		_ = s.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		_, err = s.Recv()
		return err
	}},
	{"health check", false, func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := healthv1.NewHealthClient(c).Check(ctx, &healthv1.HealthCheckRequest{})
		return err
	}},
	{"health watch", false, func(ctx context.Context, c *grpc.ClientConn) error {
		s, err := healthv1.NewHealthClient(c).Watch(ctx, &healthv1.HealthCheckRequest{})
		if err != nil {
			return err
		}
		_, err = s.Recv()
		return err
	}},
	{"health list", true, func(ctx context.Context, c *grpc.ClientConn) error {
		_, err := healthv1.NewHealthClient(c).List(ctx, &healthv1.HealthListRequest{})
		return err
	}},
}

func TestAuth(t *testing.T) {
	tests := []struct {
		name   string
		keys   []string
		header []string // values of authorization
		reason string   // of the refusal; empty: let in
	}{
		{"no keys are set", nil, nil, ""},
		{"no header", []string{"one"}, nil, "KEY_MISSING"},
		{"the key", []string{"one"}, []string{"Bearer one"}, ""},
		{"the scheme in lower case", []string{"one"}, []string{"bearer one"}, ""},
		{"the older of two", []string{"one", "two"}, []string{"Bearer one"}, ""},
		{"the newer of two", []string{"one", "two"}, []string{"Bearer two"}, ""},
		{"another key", []string{"one", "two"}, []string{"Bearer three"}, "KEY_INVALID"},
		{"part of the key", []string{"one"}, []string{"Bearer on"}, "KEY_INVALID"},
		{"an empty key", []string{"one"}, []string{"Bearer "}, "KEY_INVALID"},
		{"an empty header", []string{"one"}, []string{""}, "KEY_INVALID"},
		{"no scheme", []string{"one"}, []string{"one"}, "KEY_INVALID"},
		{"another scheme", []string{"one"}, []string{"Basic one"}, "KEY_INVALID"},
		{"two headers", []string{"one"}, []string{"Bearer one", "Bearer one"}, "KEY_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hub := &fakeHub{}
			_, conn := dial(t, hub, control.Options{}, tt.keys...)
			for _, c := range calls {
				t.Run(c.name, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					for _, v := range tt.header {
						ctx = metadata.AppendToOutgoingContext(ctx, "authorization", v)
					}
					err := c.call(ctx, conn)
					if tt.reason == "" || !c.needsKey {
						if err != nil {
							t.Errorf("refused: %v", err)
						}
						return
					}
					st := status.Convert(err)
					if st.Code() != codes.Unauthenticated || len(st.Details()) != 1 {
						t.Fatalf("got %v, want UNAUTHENTICATED with one detail", err)
					}
					info, _ := st.Details()[0].(*errdetails.ErrorInfo)
					if info.GetReason() != tt.reason || info.GetDomain() != "fanoutd" {
						t.Errorf("got %v, want reason %s of fanoutd", info, tt.reason)
					}
				})
			}
			if tt.reason != "" && len(hub.applied()) != 0 {
				t.Error("a refused call did something")
			}
		})
	}
}
