package sio

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

const freshV2 = "EIO=3&transport=websocket"

var oldClients = Options{Namespaces: []string{"/", "/chat"}, Engine: engineio.Options{AllowEIO3: true}}

func TestOldClient(t *testing.T) {
	inBubble(t, oldClients, func(w *world) {
		c := w.listener.MustDialWS(t, freshV2)
		c.Next() // open
		expect(t, "CONNECT to /, unasked", c.Next(), "40")
		c.Say(`42["hello",1]`)
		c.Say(`40/chat?token=a%20b&token=c,`)
		expect(t, "CONNECT to /chat", c.Next(), "40/chat,")
		c.Say(`42/chat,7["echo","x"]`)
		expect(t, "ack", c.Next(), `43/chat,7["x"]`)
		w.apply(event("news", `["today"]`))
		expect(t, "event", c.Next(), `42["news","today"]`)
		c.Say("41/chat,")
		c.Say(`40/nowhere,`)
		expect(t, "unknown namespace", c.Next(), `44/nowhere,"Invalid namespace"`)
		synctest.Wait()
		want := strings.Join([]string{
			"connecting / ", "connected /", `event / hello [1] [] false 0`,
			`connecting /chat {"token":"c"}`, "connected /chat", `event /chat echo ["x"] [] true 7`,
			"disconnected /chat client namespace disconnect",
		}, "\n")
		expect(t, "the backend heard", strings.Join(w.backend.take(), "\n"), want)
		c.Close()
	})
}

func TestOldClientRefused(t *testing.T) {
	tests := []struct {
		name    string
		refusal error
		want    string
	}{
		{"message", &Refusal{Message: "not you"}, `44"not you"`},
		{"data", &Refusal{Message: "not you", Data: json.RawMessage(`{"code":7}`)}, `44{"code":7}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, oldClients, func(w *world) {
				w.backend.refuse = tt.refusal
				c := w.listener.MustDialWS(t, freshV2)
				c.Next() // open
				expect(t, "reply", c.Next(), tt.want)
				c.Close()
			})
		})
	}
}

// A client of today is not connected unasked, and gets its reply whole.
func TestNewClientBesideOldOnes(t *testing.T) {
	inBubble(t, oldClients, func(w *world) {
		c, id := w.connect("")
		if id == "" {
			t.Error("the reply to CONNECT holds no id")
		}
		synctest.Wait()
		expect(t, "CONNECTs", strings.Join(w.backend.take(), "\n"), "connecting / \nconnected /")
		c.Close()
	})
}
