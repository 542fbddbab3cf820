package engineio

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	freshV3   = "EIO=3&transport=polling"
	freshWSV3 = "EIO=3&transport=websocket"
)

var v3 = Options{AllowEIO3: true}

// openV3 opens a polling session of a v3 client.
func (w *world) openV3() (query string, h *heard) {
	w.t.Helper()
	r := w.do("GET", freshV3, "")
	length, open, ok := strings.Cut(r.body, ":0")
	if r.status != 200 || !ok || length == "" {
		w.t.Fatalf("handshake: %+v", r)
	}
	return freshV3 + "&sid=" + w.sid(open), w.last()
}

func TestV3Polling(t *testing.T) {
	inBubble(t, v3, func(w *world) {
		q, h := w.openV3()
		expect(t, "protocol", h.session.Protocol(), 3)
		r := w.do("POST", q, "6:4hello3:4€😀7:b4AQID")
		expect(t, "a length in the middle of a pair", r.status, 400)
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonParseError)

		q, h = w.openV3()
		expect(t, "POST", w.do("POST", q, "6:4hello4:4€😀6:b4AQID").body, "ok")
		bytes := "\x00\x04\xff4€" + "\x01\x03\xff\x04\x01\x02"
		expect(t, "POST of bytes", w.do("POST", q, bytes, "Content-Type", "application/octet-stream").body, "ok")
		expect(t, "received", strings.Join(h.messages(), "|"), "text:hello|text:€😀|binary:\x01\x02\x03|text:€|binary:\x01\x02")

		h.session.Send(Text([]byte("one")), Text([]byte("€😀")))
		expect(t, "poll", w.do("GET", q, "").body, "4:4one4:4€😀")
		h.session.Send(Text([]byte("€")), Binary([]byte("0123456789")))
		r = w.do("GET", q, "")
		expect(t, "Content-Type", r.header.Get("Content-Type"), "application/octet-stream")
		expect(t, "poll with bytes", r.body, "\x00\x04\xff4€"+"\x01\x01\x01\xff\x040123456789")
	})
}

func TestV3Base64(t *testing.T) {
	inBubble(t, v3, func(w *world) {
		r := w.do("GET", freshV3+"&b64=1", "")
		if !strings.Contains(r.body, ":0{") {
			t.Fatalf("handshake: %+v", r)
		}
		h := w.last()
		h.session.Send(Binary([]byte{1, 2, 3}))
		r = w.do("GET", freshV3+"&b64=1&sid="+url.QueryEscape(h.session.id), "")
		expect(t, "poll", r.body, "6:b4AQID")
		expect(t, "Content-Type", r.header.Get("Content-Type"), "text/plain; charset=UTF-8")

		c := w.dial(freshWSV3 + "&b64=1")
		c.Next()
		w.last().session.Send(Binary([]byte{1, 2, 3}))
		expect(t, "websocket", c.Next(), "b4AQID")
		c.Close()
	})
}

func TestV3WebSocket(t *testing.T) {
	inBubble(t, v3, func(w *world) {
		c := w.dial(freshWSV3)
		if open := c.Next(); !strings.HasPrefix(open, "0{") {
			t.Fatalf("open packet %q", open)
		}
		h := w.last()
		c.Say("4hello")
		c.SayBinary("\x04bytes")
		c.Say("b4AQID")
		synctest.Wait()
		expect(t, "received", strings.Join(h.messages(), "|"), "text:hello|binary:bytes|binary:\x01\x02\x03")
		h.session.Send(Text([]byte("one")), Binary([]byte("two")))
		expect(t, "text", c.Next(), "4one")
		expect(t, "binary", c.Next(), "binary:\x04two")
		c.SayBinary("\x01bytes")
		c.MustClose(1002, "parse error")
	})
}

// The client pings, the server answers and waits.
func TestV3Heartbeat(t *testing.T) {
	inBubble(t, v3, func(w *world) {
		c := w.dial(freshWSV3)
		c.Next()
		h := w.last()
		for range 3 {
			time.Sleep(DefaultPingInterval + DefaultPingTimeout - time.Second)
			c.Say("2")
			expect(t, "pong", c.Next(), "3")
		}
		c.Say("4no ping")
		time.Sleep(DefaultPingInterval + DefaultPingTimeout - time.Second)
		synctest.Wait()
		expect(t, "reason in time", h.closedWith(), "")
		go c.Closed()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonPingTimeout)
	})
	inBubble(t, v3, func(w *world) {
		q, h := w.openV3()
		expect(t, "POST", w.do("POST", q, "1:2").body, "ok")
		expect(t, "poll", w.do("GET", q, "").body, "1:3")
		w.do("POST", q, "1:3")
		synctest.Wait()
		expect(t, "reason after a pong", h.closedWith(), ReasonTransportError)
	})
}

func TestV3Upgrade(t *testing.T) {
	inBubble(t, v3, func(w *world) {
		q, h := w.openV3()
		p := w.poll(q)
		synctest.Wait()
		c := w.dial(strings.Replace(q, "polling", "websocket", 1))
		c.Say("2probe")
		expect(t, "probe", c.Next(), "3probe")
		expect(t, "pending poll", (<-p).body, "1:6")
		h.session.Send(Binary([]byte("queued")))
		c.Say("5")
		expect(t, "over the websocket", c.Next(), "binary:\x04queued")
		expect(t, "reason", h.closedWith(), "")
		c.Close()
	})
}

func TestV3Versions(t *testing.T) {
	inBubble(t, v3, func(w *world) {
		q, _ := w.openV3()
		expect(t, "another version", w.do("GET", strings.Replace(q, "EIO=3", "EIO=4", 1), "").body, `{"code":3,"message":"Bad request"}`)
		expect(t, "version 2", w.do("GET", "EIO=2&transport=polling", "").body, `{"code":5,"message":"Unsupported protocol version"}`)
	})
}

// starter is a receiver that speaks first.
type startingReceiver struct{ *heard }

func (s startingReceiver) Start() { s.session.Send(Text([]byte("welcome"))) }

type startingWorld struct{ *world }

func (w startingWorld) Open(s *Session, _ *http.Request) (Receiver, error) {
	return startingReceiver{&heard{session: s}}, nil
}

func TestStarter(t *testing.T) {
	inBubble(t, v3, func(w *world) {
		w.server.handler = startingWorld{w}
		c := w.dial(freshWSV3)
		c.Next()
		expect(t, "first message", c.Next(), "4welcome")
		c.Close()
		_, open, _ := strings.Cut(w.do("GET", freshV3, "").body, ":0")
		expect(t, "first poll", w.do("GET", freshV3+"&sid="+w.sid(open), "").body, "8:4welcome")

		// A client of today speaks first: it hears nothing before its first ping.
		c = w.dial(freshWS)
		c.Next()
		expect(t, "first message of a v4 session", c.Next(), "2")
		c.Close()
	})
}

func TestPayloadV3RoundTrip(t *testing.T) {
	msgs := []*Message{Text(nil), Text([]byte("a€😀")), Binary(nil), Binary([]byte{0, 0xff, 1}), Text([]byte(strings.Repeat("ü", 300)))}
	var want []string
	for _, m := range msgs {
		want = append(want, string(m.opcode+'0')+string(m.frame[m.header:]))
	}
	for name, code := range map[string]struct {
		append func([]byte, []*Message) []byte
		decode func([]byte, func(inbound) bool) error
	}{
		"text":  {appendPayloadV3, decodePayloadV3},
		"bytes": {appendBinaryPayloadV3, decodeBinaryPayloadV3},
	} {
		var got []string
		err := code.decode(code.append(nil, msgs), func(p inbound) bool {
			if p.binary {
				got = append(got, "2"+string(p.data))
			} else {
				got = append(got, "1"+string(p.kind)+string(p.data))
			}
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestPayloadV3Refused(t *testing.T) {
	all := func(inbound) bool { return true }
	for _, s := range []string{"", ":", "x", "1", "2:4", "-1:4", "+1:4", " 1:4", "99999999999:4", "1:x", "2:b4x", "3:b5AA==", "2:4\xff", "1:😀", "1:41"} {
		if decodePayloadV3([]byte(s), all) == nil {
			t.Errorf("text %q was taken", s)
		}
	}
	for _, s := range []string{"\x00", "\x00\xff", "\x02\x01\xff4", "\x00\x0a\xff4", "\x00\x02\xff4", "\x01\x01\xff4", "\x01\x00\xff", "\x00\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff4", "\x00\x01\xffx"} {
		if decodeBinaryPayloadV3([]byte(s), all) == nil {
			t.Errorf("bytes %q were taken", s)
		}
	}
	if err := decodePayloadV3([]byte("0:1:4"), all); err != nil {
		t.Errorf("an empty packet: %v, want it skipped", err)
	}
}
