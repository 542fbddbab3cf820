package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// fields returns the field paths of an INVALID_ARGUMENT; the test fails if err
// is anything else or one of them is missing in the message.
func fields(t *testing.T, err error) []string {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != codes.InvalidArgument {
		t.Fatalf("got %v, want INVALID_ARGUMENT", err)
	}
	var out []string
	for _, d := range st.Details() {
		for _, v := range d.(*errdetails.BadRequest).GetFieldViolations() {
			out = append(out, v.GetField())
			if v.GetDescription() == "" || !strings.Contains(st.Message(), v.GetField()+": "+v.GetDescription()) {
				t.Errorf("violation %v is not in the message %q", v, st.Message())
			}
		}
	}
	return out
}

func toAll() *fanoutv1.Target { return &fanoutv1.Target{All: true} }

func toRoom(name string) *fanoutv1.Target { return &fanoutv1.Target{Rooms: []string{name}} }

func TestHubErrors(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want codes.Code
	}{
		{"closed", sio.ErrClosed, codes.Unavailable},
		{"canceled", context.Canceled, codes.Canceled},
		{"deadline", fmt.Errorf("asking: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{"other", errors.New("a secret"), codes.Internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hub := newMemHub()
			hub.err = tt.err
			_, conn := dial(t, hub, Options{})
			calls := map[string]func() error{
				"Emit": func() error {
					_, err := fanoutv1.NewEmitterServiceClient(conn).Emit(t.Context(), &fanoutv1.EmitRequest{To: toAll(), Event: "e"})
					return err
				},
				"Join": func() error {
					_, err := fanoutv1.NewRegistryServiceClient(conn).Join(t.Context(), &fanoutv1.JoinRequest{To: toAll(), Rooms: []string{"r"}})
					return err
				},
				"UpdateConnection": func() error {
					_, err := fanoutv1.NewRegistryServiceClient(conn).UpdateConnection(t.Context(), &fanoutv1.UpdateConnectionRequest{Id: "a"})
					return err
				},
			}
			for name, call := range calls {
				st := status.Convert(call())
				if st.Code() != tt.want || strings.Contains(st.Message(), "secret") {
					t.Errorf("%s: got %v, want %v that says nothing of a secret", name, st, tt.want)
				}
			}
		})
	}
}
