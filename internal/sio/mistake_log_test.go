package sio

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// Each session that is closed over what its peer did has one line of the log at level
// debug, whichever layer found it, with why; what ends in order has none.
func TestMistakesAreLogged(t *testing.T) {
	const joins = "40"
	for _, tt := range []struct {
		name   string
		say    []string
		reason string
		detail string
	}{
		{"no packet of Engine.IO", []string{"x"}, ReasonParseError, "unknown packet type"},
		{"no UTF-8", []string{"4\xff"}, ReasonParseError, "text frame is not valid UTF-8"},
		{"no packet of Socket.IO", []string{joins, "42{"}, ReasonParseError, "undecodable packet: parser: invalid JSON: it ends too soon"},
		{"a packet of the wrong type", []string{joins, `44"x"`}, ReasonParseError, "unexpected packet type"},
		{"a namespace that was not joined", []string{`42["x"]`}, ReasonParseError, "packet for a namespace that was not joined"},
		{"more than a message may have", []string{strings.Repeat("4", 2000)}, ReasonTransportError, "wsconn: message too large"},
		{"a heartbeat in the wrong direction", []string{"2"}, ReasonTransportError, "invalid heartbeat direction"},
		{"attachments that never come", []string{joins, `451-["x",{"_placeholder":true,"num":0}]`}, ReasonAttachmentTimeout, ""},
		{"who joins nothing", nil, ReasonConnectTimeout, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, closed := mistakesOf(t, func(c *wiretest.WS) {
				c.Next()
				for _, text := range tt.say {
					_ = c.WriteMessage(websocket.TextMessage, []byte(text)) // fails where the server has read enough
					if text == joins {
						c.Next()
					}
				}
				time.Sleep(time.Minute)
			})
			want := `reason="` + tt.reason + `" error="` + tt.detail + `"`
			if len(lines) != 1 || !strings.Contains(lines[0], want) || !strings.Contains(lines[0], " remote=") {
				t.Errorf("logged %q, want one line with %s", lines, want)
			}
			if closed[tt.reason] != 1 {
				t.Errorf("closed by reason: %v", closed)
			}
		})
	}

	t.Run("who leaves", func(t *testing.T) {
		lines, _ := mistakesOf(t, func(c *wiretest.WS) {
			c.Next()
			c.Say(joins)
			c.Next()
			c.Say("1")
		})
		if len(lines) != 0 {
			t.Errorf("logged %q", lines)
		}
	})
}

// mistakesOf returns what is logged, at level debug, of a client that does this, and the
// sessions that closed, by reason.
func mistakesOf(t *testing.T, do func(*wiretest.WS)) (lines []string, closed map[string]uint64) {
	t.Helper()
	var log strings.Builder
	o := Options{AttachmentTimeout: 10 * time.Second, ConnectTimeout: 10 * time.Second, Engine: engineio.Options{MaxPayload: 1000}}
	o.Engine.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	inBubble(t, o, func(w *world) {
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		defer c.Close()
		do(c)
		closed = w.Stats().Engine.Closed
	})
	for line := range strings.Lines(log.String()) {
		lines = append(lines, line)
	}
	return lines, closed
}
