package sio

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// A client whose parser is not known is refused in words that it may understand,
// and the operator is told, but not of each one.
func TestUnknownParser(t *testing.T) {
	const message = `"data":{"message":"` + MessageUnknownParser + `"}}`
	for name, tt := range map[string]struct {
		say    string
		binary bool
		want   string // the answer, or what ends it
	}{
		"object":                {`{"type":0,"nsp":"/"}`, false, `{"type":4,"nsp":"/",` + message},
		"object of a namespace": {`{"type":0,"nsp":"/chat","data":{"token":"x"}}`, false, `{"type":4,"nsp":"/chat",` + message},
		"object, broken":        {`{"type":0,"nsp":7}`, false, `{"type":4,"nsp":"/",` + message},
		"array":                 {`[0,"/"]`, false, `{"type":4,"nsp":"/",` + message},
		"bytes":                 {"\x00\x01\x02", true, MessageUnknownParser},
		"MessagePack, no map":   {"\x93\x00\xa1/\x80", true, MessageUnknownParser},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			o := Options{}
			o.Engine.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
			inBubble(t, o, func(w *world) {
				come := func() {
					c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
					defer c.Close()
					c.Next()
					kind := websocket.TextMessage
					if tt.binary {
						kind = websocket.BinaryMessage
					}
					c.WriteMessage(kind, []byte(map[bool]string{false: "4"}[tt.binary]+tt.say))
					if got := c.Next(); !strings.HasSuffix(got, tt.want) || strings.HasPrefix(got, "binary:") != tt.binary {
						t.Errorf("answer %q, want %q", got, tt.want)
					}
					if err := c.Closed(); !websocket.IsCloseError(err, 1000) {
						t.Errorf("ended with %v", err)
					}
				}
				come()
				come()
				expect(t, "warnings", strings.Count(log.String(), "level=WARN"), 1)
				time.Sleep(10 * time.Second)
				come()
				expect(t, "warnings, later", strings.Count(log.String(), "level=WARN"), 2)
			})
		})
	}
}

// A client of v2 has read our CONNECT before it says anything.
func TestUndecodableOfV2(t *testing.T) {
	inBubble(t, Options{Engine: engineio.Options{AllowEIO3: true}}, func(w *world) {
		c := w.listener.MustDialWS(t, "EIO=3&transport=websocket")
		c.Next()
		expect(t, "CONNECT", c.Next(), "40")
		c.SayBinary("\x04\x01")
		if err := c.Closed(); !websocket.IsCloseError(err, 1002) {
			t.Errorf("ended with %v", err)
		}
	})
}

// Who has been understood before has a parser that is known, and makes a mistake.
func TestUndecodableLater(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, _ := w.connect("")
		c.Say(`4{"type":0}`)
		if err := c.Closed(); !websocket.IsCloseError(err, 1002) {
			t.Errorf("ended with %v", err)
		}
	})
}
