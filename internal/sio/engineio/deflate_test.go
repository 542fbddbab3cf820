package engineio

import (
	"bytes"
	"compress/flate"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// dialDeflate opens a WebSocket that offers compression and reports what the
// server said to it.
func (w *world) dialDeflate() (c *websocket.Conn, extensions string) {
	w.t.Helper()
	d := websocket.Dialer{NetDialContext: w.listener.Dial, EnableCompression: true}
	c, res, err := d.Dial("ws://server/socket.io/?"+freshWS, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res.Body.Close()
	if _, _, err := c.ReadMessage(); err != nil { // open packet
		w.t.Fatal(err)
	}
	return c, res.Header.Get("Sec-WebSocket-Extensions")
}

func TestPerMessageDeflate(t *testing.T) {
	inBubble(t, Options{PerMessageDeflate: true}, func(w *world) {
		c, extensions := w.dialDeflate()
		if !strings.Contains(extensions, "permessage-deflate") {
			t.Fatalf("negotiated %q", extensions)
		}
		h := w.last()
		long := strings.Repeat("deflate me ", 1000)
		noise := string(newNoise(5000))
		for _, m := range []*Message{Text([]byte("short")), Text([]byte(long)), Binary([]byte(long)), Text([]byte(long)).Plain(), Binary([]byte(noise))} {
			h.session.Send(m)
		}
		for _, want := range []string{"4short", "4" + long, long, "4" + long, noise} {
			_, got, err := c.ReadMessage()
			if err != nil || string(got) != want {
				t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
			}
		}
		c.EnableWriteCompression(true)
		c.WriteMessage(websocket.TextMessage, []byte("4"+long))
		synctest.Wait()
		expect(t, "received", strings.Join(h.messages(), "|"), "text:"+long)
		c.Close()
	})
}

func TestDeflateIsNegotiated(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	inBubble(t, Options{}, func(w *world) {
		c, extensions := w.dialDeflate()
		expect(t, "extensions while off", extensions, "")
		w.last().session.Send(Text([]byte(long)))
		_, got, _ := c.ReadMessage()
		expect(t, "message", string(got), "4"+long)
		c.Close()
	})
	inBubble(t, Options{PerMessageDeflate: true}, func(w *world) {
		c := w.dial(freshWS) // offers nothing
		c.Next()
		w.last().session.Send(Text([]byte(long)))
		expect(t, "message", c.Next(), "4"+long)
		c.Close()
	})
}

// The compressed form is one for all recipients, and smaller.
func TestDeflateOnce(t *testing.T) {
	m := Text(bytes.Repeat([]byte("deflate me "), 1000))
	first := m.framed(framingDeflate)
	if first != m.framed(framingDeflate|framingV3) || first == m {
		t.Error("a text message has more than one compressed form")
	}
	if len(first.frame) > len(m.frame)/10 {
		t.Errorf("%d bytes were compressed to %d", len(m.frame), len(first.frame))
	}
	for name, m := range map[string]*Message{
		"short": Text([]byte("short")), "plain": Text(make([]byte, 5000)).Plain(),
		"control frame": frame(wsconn.OpClose, nil, make([]byte, 2000)),
	} {
		if m.framed(framingDeflate) != m {
			t.Errorf("%s: was compressed", name)
		}
	}
	noise := Binary(newNoise(5000))
	expect(t, "size of what cannot be compressed", len(noise.framed(framingDeflate).frame), len(noise.frame))
}

func newNoise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b { // xorshift: the same each time
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x >> 11)
	}
	return b
}

// A few bytes that inflate to very many are not inflated beyond the limit.
func TestDeflateBomb(t *testing.T) {
	var bomb bytes.Buffer
	z, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	z.Write([]byte("4"))
	zeros := make([]byte, 1<<20)
	for range 8 {
		z.Write(zeros)
	}
	z.Flush()
	payload := bytes.TrimSuffix(bomb.Bytes(), []byte{0, 0, 0xff, 0xff})

	const limit = 100_000
	if len(payload) > limit {
		t.Fatalf("the bomb is %d bytes long: the limit of the wire would catch it", len(payload))
	}
	inBubble(t, Options{PerMessageDeflate: true, MaxPayload: limit}, func(w *world) {
		c, _ := w.dialDeflate()
		h := w.last()
		head := []byte{0x80 | wsconn.Compressed | wsconn.OpText, 0x80 | 127, 0, 0, 0, 0, byte(len(payload) >> 24), byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
		go c.NetConn().Write(append(head, payload...))
		c.SetReadDeadline(time.Now().Add(time.Minute))
		_, _, err := c.ReadMessage()
		if !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
			t.Errorf("closed with %v, want %d", err, websocket.CloseMessageTooBig)
		}
		c.Close()
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonTransportError)
		expect(t, "messages", len(h.messages()), 0)
	})
	// A candidate's first packet is bounded just the same.
	inBubble(t, Options{PerMessageDeflate: true, MaxPayload: limit}, func(w *world) {
		q, h := w.open()
		d := websocket.Dialer{NetDialContext: w.listener.Dial, EnableCompression: true}
		c, res, err := d.Dial("ws://server/socket.io/?"+strings.Replace(q, "polling", "websocket", 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		head := []byte{0x80 | wsconn.Compressed | wsconn.OpText, 0x80 | 127, 0, 0, 0, 0, byte(len(payload) >> 24), byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
		go c.NetConn().Write(append(head, payload...))
		if _, _, err := c.ReadMessage(); err == nil {
			t.Error("the candidate lives on")
		}
		c.Close()
		synctest.Wait()
		expect(t, "reason", h.closedWith(), "")
	})
}

func BenchmarkDeflatedForm(b *testing.B) {
	data := bytes.Repeat([]byte(`{"key":"value","number":12345},`), 100)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		Text(data).framed(framingDeflate)
	}
}
