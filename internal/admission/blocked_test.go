package admission

import (
	"context"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// TestBlockedUsersAskNobody who comes after the source that has named them.
func TestBlockedUsersAskNobody(t *testing.T) {
	for user, answer := range map[string]string{"42": `44{"message":"blocked"}`, "43": `40{"sid":`, "": `40{"sid":`} {
		asked := 0
		last := decider(func(_ context.Context, _ *Request, sofar sio.Admission) (sio.Admission, error) {
			asked++
			return sofar, nil
		})
		inBubble(t, func(t *testing.T, l *wiretest.Listener, b *Backend, heard *events, _ *strings.Builder) {
			c := ask(t, l)
			if got := c.Next(); !strings.HasPrefix(got, answer) {
				t.Errorf("%q: got %s, want %s", user, got, answer)
			}
			c.Close()
			if refused := b.Stats().Refused == 1; refused != (asked == 0) || refused != (user == "42") {
				t.Errorf("%q: %+v, asked %d times", user, b.Stats(), asked)
			}
		}, grants(sio.Admission{User: user}), NotBlocked{func(name string) bool { return name == "42" || name == "" }}, last)
	}
}
