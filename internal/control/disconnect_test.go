package control

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// Each Disconnect leaves one line: who ended how many, how, and why.
func TestDisconnectIsLogged(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = "x"
	}
	for _, tt := range []struct {
		name    string
		request *fanoutv1.DisconnectRequest
		want    string
	}{
		{"everybody", &fanoutv1.DisconnectRequest{To: toAll(), Reason: "spam\nof\x00all kinds"}, `mode=NAMESPACE namespace=/ affected=2 reason="spam\nof\x00all kinds" caller=shop`},
		{"one user", &fanoutv1.DisconnectRequest{To: &fanoutv1.Target{Users: []string{"42"}}, Mode: fanoutv1.DisconnectRequest_TRANSPORT}, `mode=TRANSPORT namespace=/ affected=1 users=[42] caller=shop`},
		{"nobody of many", &fanoutv1.DisconnectRequest{To: &fanoutv1.Target{Ids: many}}, `mode=NAMESPACE namespace=/ affected=0 ids="[x x x x x x x x]" caller=shop`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hub := newMemHub()
			hub.connect("/", "a", "42")
			hub.connect("/", "b", "")
			var out strings.Builder
			r := newRegistry(hub, nil, nil, slog.New(slog.NewTextHandler(&out, nil)), nil)
			ctx := identity.NewContext(t.Context(), identity.Unlimited("shop"))
			if _, err := r.Disconnect(ctx, tt.request); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, ` level=INFO msg="a backend disconnected connections" `+tt.want+"\n") {
				t.Errorf("got %q, want one line with %s", got, tt.want)
			}
		})
	}
	_, err := newRegistry(newMemHub(), nil, nil, slog.New(slog.DiscardHandler), nil).Disconnect(identity.NewContext(t.Context(), identity.Unlimited("")), &fanoutv1.DisconnectRequest{To: toAll(), Reason: strings.Repeat("x", maxReason+1)})
	if got := fields(t, err); !slices.Equal(got, []string{"reason"}) {
		t.Errorf("a long reason: got %q", got)
	}
}
