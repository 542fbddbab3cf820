package control

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// What an operator changes leaves a line with who it was; what fails, or only asks, none.
func TestAudit(t *testing.T) {
	d := dispatch.New(dispatch.Options{Logger: slog.New(slog.DiscardHandler)})
	for _, group := range []string{"a", "b"} {
		if _, err := d.Subscribe(dispatch.SubscriptionOptions{Group: group, ConsumerID: "c", MaxInFlight: 1}); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	drains := func(_ context.Context, node string, _ drain.Overrides, yield func(drain.Progress) error) error {
		switch node {
		case "none":
			return sio.ErrNotFound
		case "away":
			return &sio.UnreachableError{Node: node}
		}
		return errors.Join(yield(drain.Progress{}), yield(drain.Progress{Phase: drain.Done}))
	}
	admin := newAdmin(newMemHub(), &Options{Dispatcher: DispatcherOf(d), Drain: drains, Logger: slog.New(slog.NewTextHandler(&log, nil))}, newErrorReporter(slog.New(slog.DiscardHandler)))
	ctx := identity.NewContext(t.Context(), identity.Unlimited("operator"))
	drained := func(node string) func() error {
		return func() error {
			_ = admin.Drain(&fanoutv1.DrainRequest{Node: node}, &progress{ctx: ctx})
			return nil
		}
	}
	for _, tt := range []struct {
		name string
		call func() error
		want string // empty: nothing is logged
	}{
		{"ListConsumers", func() error { _, err := admin.ListConsumers(ctx, nil); return err }, ""},
		{"DeleteGroup of none", func() error { _, _ = admin.DeleteGroup(ctx, &fanoutv1.DeleteGroupRequest{Group: "x"}); return nil }, ""},
		{"DisconnectConsumer", func() error {
			_, err := admin.DisconnectConsumer(ctx, &fanoutv1.DisconnectConsumerRequest{Group: "a", ConsumerId: "c"})
			return err
		}, `msg="an operator disconnected a consumer" group=a consumer=c caller=operator`},
		{"DeleteGroup", func() error { _, err := admin.DeleteGroup(ctx, &fanoutv1.DeleteGroupRequest{Group: "b"}); return err },
			`msg="an operator deleted a group" group=b consumers=1 caller=operator`},
		{"ReplayDeadLetters", func() error {
			_, err := admin.ReplayDeadLetters(ctx, &fanoutv1.ReplayDeadLettersRequest{Group: "a", All: true})
			return err
		}, `msg="an operator replayed dead letters" group=a affected=0 caller=operator`},
		{"DeleteDeadLetters", func() error {
			_, err := admin.DeleteDeadLetters(ctx, &fanoutv1.DeleteDeadLettersRequest{Group: "a", All: true})
			return err
		}, `msg="an operator deleted dead letters" group=a affected=0 caller=operator`},
		{"Drain", drained("n"), `msg="an operator drains a node" node=n caller=operator`},
		{"Drain of one that may not have heard of it", drained("away"), `msg="an operator drains a node" node=away caller=operator`},
		{"Drain of none", drained("none"), ""},
	} {
		log.Reset()
		if err := tt.call(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := log.String(); strings.Count(got, "\n") > 1 || (tt.want == "") != (got == "") || !strings.HasSuffix(strings.TrimSuffix(got, "\n"), tt.want) {
			t.Errorf("%s: logged %q, want %q", tt.name, got, tt.want)
		}
	}
}

// progress is the stream of a drain, and takes all.
type progress struct {
	grpc.ServerStreamingServer[fanoutv1.DrainResponse]
	ctx context.Context
}

func (p *progress) Context() context.Context { return p.ctx }

func (*progress) Send(*fanoutv1.DrainResponse) error { return nil }
