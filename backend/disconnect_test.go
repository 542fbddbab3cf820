package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// What each mode ends, and what the client is told.
func TestDisconnect(t *testing.T) {
	for name, tt := range map[string]struct {
		options DisconnectOptions
		told    string // to the client
		heard   string // by OnDisconnect
	}{
		"unset":     {DisconnectOptions{}, "41", "/ BACKEND "},
		"namespace": {DisconnectOptions{Mode: DisconnectNamespace, Reason: "spam"}, "41", "/ BACKEND spam"},
		"transport": {DisconnectOptions{Mode: DisconnectTransport, Reason: "move"}, "closed", "/ BACKEND move; /chat BACKEND move"},
		"session":   {DisconnectOptions{Mode: DisconnectSession, Reason: "logout"}, "41; 41/chat,; closed", "/ BACKEND logout; /chat BACKEND logout"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				client := w.dial()
				defer client.Close()
				var heard notes
				c := client.Consumer(ConsumerOptions{Group: "g"})
				c.On("end me", func(ctx context.Context, e *Event) (Reply, error) {
					return nil, e.Disconnect(ctx, tt.options)
				})
				c.OnDisconnect(func(_ context.Context, e *Event) error {
					heard.add(fmt.Sprint(e.Namespace, " ", e.Cause, " ", e.Detail))
					return nil
				})
				stop := w.start(c)
				b, _ := w.connect()
				b.Join("/chat")
				b.Say(`42["end me"]`)
				for want := range strings.SplitSeq(tt.told, "; ") {
					if want == "closed" {
						var end *websocket.CloseError
						if err := b.Closed(); !errors.As(err, &end) {
							t.Errorf("the end: %v, want a close frame", err)
						}
						continue
					}
					expect(t, "told", b.Next(), want)
				}
				all := strings.Split(heard.take(), "; ")
				slices.Sort(all)
				expect(t, "heard", strings.Join(all, "; "), tt.heard)
				b.Close()
				stop()
			})
		})
	}
}
