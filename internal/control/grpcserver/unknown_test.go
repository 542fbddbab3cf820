package grpcserver

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/fanoutd/fanoutd/internal/control"
)

// What does not exist answers nothing to callers without a key, and says so to others.
func TestUnknownMethods(t *testing.T) {
	for _, method := range []string{"/fanout.v1.EmitterService/No", "/no.Such/Method", "/grpc.health.v1.Health/No"} {
		t.Run(method, func(t *testing.T) {
			_, conn := dial(t, &fakeHub{}, control.Options{}, "one")
			for _, tt := range []struct {
				name string
				key  string
				want codes.Code
			}{
				{"without a key", "", codes.Unauthenticated},
				{"with another key", "Bearer two", codes.Unauthenticated},
				{"with the key", "Bearer one", codes.Unimplemented},
			} {
				ctx := t.Context()
				if tt.key != "" {
					ctx = metadata.AppendToOutgoingContext(ctx, "authorization", tt.key)
				}
				if err := conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != tt.want {
					t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
				}
			}
		})
	}
}
