package control

import (
	"log/slog"
	"strings"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
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
	admin := newAdmin(newMemHub(), &Options{Dispatcher: DispatcherOf(d), Logger: slog.New(slog.NewTextHandler(&log, nil))}, newErrorReporter(slog.New(slog.DiscardHandler)))
	ctx := identity.NewContext(t.Context(), identity.Unlimited("operator"))
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
	} {
		log.Reset()
		if err := tt.call(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := log.String(); (tt.want == "") != (got == "") || !strings.HasSuffix(strings.TrimSuffix(got, "\n"), tt.want) {
			t.Errorf("%s: logged %q, want %q", tt.name, got, tt.want)
		}
	}
}
