package test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// browser is a Socket.IO client over WebSocket in the default namespace. A
// goroutine of its own reads and answers pings, until the connection ends.
type browser struct {
	id   string
	conn *websocket.Conn
	done chan struct{} // closed when the connection has ended
	end  error         // how, once done is closed

	heard func(b *browser, packet string) // told of what is no ping, one at a time; nil: nobody is

	writing sync.Mutex
}

// openBrowser connects a browser until the test ends.
func openBrowser(ctx context.Context, t *testing.T, address string) *browser {
	t.Helper()
	return openHearingBrowser(ctx, t, address, nil)
}

// openHearingBrowser is openBrowser with somebody who is told what it receives.
func openHearingBrowser(ctx context.Context, t *testing.T, address string, heard func(b *browser, packet string)) *browser {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+address+"/socket.io/?EIO=4&transport=websocket", http.Header{})
	if err != nil {
		t.Fatalf("dialing: %v", err)
	}
	_ = res.Body.Close() // the dialer has left nothing in it
	b := &browser{conn: conn, done: make(chan struct{}), heard: heard}
	t.Cleanup(func() { _ = conn.Close() })
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(deadline)
		_ = conn.SetWriteDeadline(deadline)
	}
	if _, _, err := conn.ReadMessage(); err != nil { // the open packet
		t.Fatalf("opening: %v", err)
	}
	if err := b.say("40"); err != nil {
		t.Fatalf("joining: %v", err)
	}
	_, reply, err := conn.ReadMessage()
	if err != nil {
		t.Fatalf("joining: %v", err)
	}
	var joined struct{ SID string }
	if body, ok := strings.CutPrefix(string(reply), "40"); !ok || json.Unmarshal([]byte(body), &joined) != nil {
		t.Fatalf("joining was answered %q", reply)
	}
	b.id = joined.SID
	go b.read()
	t.Cleanup(func() { // before the other
		_ = conn.Close()
		<-b.done
	})
	return b
}

// say sends a text message. It blocks while the daemon does not read.
func (b *browser) say(text string) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	return b.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

func (b *browser) read() {
	defer close(b.done)
	for {
		_, packet, err := b.conn.ReadMessage()
		if err != nil {
			b.end = err
			return
		}
		if string(packet) == "2" {
			// Its writer may be held up, and is then the one to hear of the end.
			go func() { _ = b.say("3") }()
		} else if b.heard != nil {
			b.heard(b, string(packet))
		}
	}
}
