package engineio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

const freshWS = "EIO=4&transport=websocket"

func TestWebSocketBothWays(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS)
		open := c.Next()
		if !strings.Contains(open, `"upgrades":[]`) {
			t.Errorf("open packet %s: nothing to upgrade to", open)
		}
		h := w.last()
		c.Say("4hello")
		c.WriteMessage(websocket.BinaryMessage, []byte{1, 2})
		c.Say("bAQID")
		h.session.Send(Text([]byte("one")), Binary([]byte("two")))
		h.session.Send(Text([]byte("three")))
		for _, want := range []string{"4one", "binary:two", "4three"} {
			expect(t, "message", c.Next(), want)
		}
		synctest.Wait()
		expect(t, "received", strings.Join(h.messages(), "|"), "text:hello|binary:\x01\x02|binary:\x01\x02\x03")
		expect(t, "transport", h.session.Transport(), "websocket")
		c.Close()
	})
}

func TestFrameSizes(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		h := w.last()
		for _, n := range []int{0, 1, 124, 125, 126, 65534, 65535, 65536, 200000} {
			want := strings.Repeat("x", n)
			h.session.Send(Text([]byte(want)), Binary([]byte(want)))
			if got := c.Next(); got != "4"+want {
				t.Errorf("text of %d bytes came as %d", n, len(got)-1)
			}
			if got := c.Next(); got != "binary:"+want {
				t.Errorf("binary of %d bytes came as %d", n, len(got)-len("binary:"))
			}
		}
		c.Close()
	})
}

func TestWebSocketEnds(t *testing.T) {
	tests := []struct {
		name   string
		do     func(*wiretest.WS, *heard)
		reason Reason
		code   int // of the close frame that answers
		text   string
	}{
		{"close packet", func(c *wiretest.WS, _ *heard) { c.Say("1") }, ReasonTransportClose, 1000, "transport close"},
		{"client pings", func(c *wiretest.WS, _ *heard) { c.Say("2") }, ReasonTransportError, 1000, "transport error"},
		{"unknown packet", func(c *wiretest.WS, _ *heard) { c.Say("x") }, ReasonParseError, 1002, "parse error"},
		{"empty packet", func(c *wiretest.WS, _ *heard) { c.Say("") }, ReasonParseError, 1002, "parse error"},
		{"not UTF-8", func(c *wiretest.WS, _ *heard) { c.Say("4\xff") }, ReasonParseError, 1002, "parse error"},
		{"close frame", func(c *wiretest.WS, _ *heard) {
			c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		}, ReasonTransportClose, 1000, ""},
		{"server closes", func(_ *wiretest.WS, h *heard) { h.session.Close(ReasonForcedServer) }, ReasonForcedServer, 1000, "forced server close"},
		{"first reason wins", func(_ *wiretest.WS, h *heard) {
			h.session.Close(ReasonConnectTimeout)
			h.session.Close(ReasonForcedServer)
		}, ReasonConnectTimeout, 1008, "connect timeout"},
		{"silence", func(*wiretest.WS, *heard) {}, ReasonPingTimeout, 1008, "ping timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				c := w.dial(freshWS)
				c.Next()
				h := w.last()
				go tt.do(c, h)
				c.MustClose(tt.code, tt.text)
				synctest.Wait()
				expect(t, "reason", h.closedWith(), tt.reason)
			})
		})
	}
}

func TestWebSocketTooLarge(t *testing.T) {
	inBubble(t, Options{MaxPayload: 1000}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		go c.WriteMessage(websocket.TextMessage, []byte("4"+strings.Repeat("x", 1000)))
		c.MustClose(1009, "")
		synctest.Wait()
		expect(t, "reason", w.last().closedWith(), ReasonTransportError)
	})
}

func TestWebSocketReset(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		c.NetConn().Close()
		synctest.Wait()
		expect(t, "reason", w.last().closedWith(), ReasonTransportClose)
		expect(t, "sessions", w.server.Sessions()[transportWebSocket], 0)
	})
}

// What was queued before a close of the server's own reaches the browser first.
func TestWebSocketFlushesBeforeClose(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		h := w.last()
		for i := range 100 {
			h.session.Send(Text(fmt.Append(nil, i)))
		}
		h.session.Close(ReasonForcedServer)
		expect(t, "a send after the close", h.session.Send(Text(nil)), false)
		for i := range 100 {
			expect(t, "message", c.Next(), fmt.Sprint("4", i))
		}
		c.MustClose(1000, "forced server close")
	})
}

// A peer that neither reads nor answers holds nothing up for ever.
func TestFrozenPeer(t *testing.T) {
	inBubble(t, Options{MaxQueue: 1000}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		h := w.last()
		for h.session.Send(Text(make([]byte, 100))) {
		}
		time.Sleep(2*closeWait + time.Second)
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonSlowConsumer)
		expect(t, "sessions", w.server.Sessions()[transportWebSocket], 0)
		c.Close()
	})
}

func TestHeartbeatWebSocket(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		start := time.Now()
		for range 4 {
			expect(t, "ping", c.Next(), "2")
			c.Say("3")
		}
		expect(t, "four pings after", time.Since(start), 100*time.Second)
		expect(t, "reason", w.last().closedWith(), "")
		c.Close()
	})
}

func TestControlFrames(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		pong := ""
		c.SetPongHandler(func(s string) error { pong = s; return nil })
		c.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second))
		synctest.Wait()
		w.last().session.Send(Text([]byte("x")))
		expect(t, "message", c.Next(), "4x")
		expect(t, "pong", pong, "are you there")
		c.Close()
	})
}

func TestShutdownWebSocket(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		frozen := w.dial(freshWS)
		frozen.Next()
		go c.MustClose(1001, "server shutting down")
		ctx, cancel := context.WithTimeout(context.Background(), shutdownWait/2)
		defer cancel()
		if err := w.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown with a frozen peer: %v", err)
		}
		expect(t, "sessions", len(w.server.all()), 0)
		frozen.Close()
	})
}

func TestUpgrade(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		p := w.poll(q)
		synctest.Wait()
		c := w.dial(strings.Replace(q, "polling", "websocket", 1))
		c.Say("2probe")
		expect(t, "probe", c.Next(), "3probe")
		expect(t, "pending poll", (<-p).body, "6")
		expect(t, "arriving poll", w.do("GET", q, "").body, "6")
		// Until the browser says so, packets use polling.
		h.session.Send(Text([]byte("a")))
		expect(t, "poll", w.do("GET", q, "").body, "4a")
		expect(t, "transport before", h.session.Transport(), "polling")
		h.session.Send(Text([]byte("b")))
		c.Say("5")
		expect(t, "over the websocket", c.Next(), "4b")
		expect(t, "transport after", h.session.Transport(), "websocket")
		c.Say("4from there")
		synctest.Wait()
		expect(t, "received", strings.Join(h.messages(), "|"), "text:from there")
		r := w.do("GET", q, "")
		expect(t, "polling afterwards", r.body, `{"code":3,"message":"Bad request"}`)
		expect(t, "reason", h.closedWith(), "")

		// A second upgrade is accepted and closed without a word.
		again := w.dial(strings.Replace(q, "polling", "websocket", 1))
		if err := again.Closed(); websocket.IsCloseError(err, 1000, 1001, 1002) {
			t.Errorf("second upgrade got a close frame: %v", err)
		}
		expect(t, "reason", h.closedWith(), "")
		c.Close()
	})
}

// Whatever goes wrong with a candidate, the polling session lives on and may try again.
func TestUpgradeFails(t *testing.T) {
	tests := map[string]func(*wiretest.WS){
		"no probe":            func(c *wiretest.WS) { c.Say("4hello") },
		"ping without probe":  func(c *wiretest.WS) { c.Say("2") },
		"binary":              func(c *wiretest.WS) { c.WriteMessage(websocket.BinaryMessage, []byte("2probe")) },
		"goes away":           func(c *wiretest.WS) { c.Close() },
		"silence":             func(*wiretest.WS) { time.Sleep(11 * time.Second) },
		"silence after probe": func(c *wiretest.WS) { c.Say("2probe"); c.Next(); time.Sleep(11 * time.Second) },
		"other than upgrade":  func(c *wiretest.WS) { c.Say("2probe"); c.Next(); c.Say("4hello") },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				q, h := w.open()
				wsq := strings.Replace(q, "polling", "websocket", 1)
				c := w.dial(wsq)
				spoil(c)
				if c.Closed() == nil {
					t.Error("the candidate lives on")
				}
				synctest.Wait()
				expect(t, "reason", h.closedWith(), "")
				p := w.poll(q)
				synctest.Wait()
				h.session.Send(Text([]byte("still here")))
				expect(t, "poll", (<-p).body, "4still here")

				c = w.dial(wsq)
				c.Say("2probe")
				expect(t, "probe", c.Next(), "3probe")
				c.Say("5")
				h.session.Send(Text([]byte("now here")))
				expect(t, "message", c.Next(), "4now here")
				c.Close()
			})
		})
	}
}

// Browsers close a page's WebSockets with 1001. Between the probe and "5" no
// poll needs to be pending, and the session must not linger until its heartbeat.
func TestPageClosedDuringUpgrade(t *testing.T) {
	goingAway := func(c *wiretest.WS) {
		c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Time{})
		c.Close()
	}
	t.Run("no poll waits", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			q, h := w.open()
			p := w.poll(q)
			synctest.Wait()
			c := w.dial(strings.Replace(q, "polling", "websocket", 1))
			c.Say("2probe")
			c.Next()
			expect(t, "pending poll", (<-p).body, "6")
			goingAway(c)
			synctest.Wait()
			expect(t, "reason", h.closedWith(), ReasonTransportClose)
		})
	})
	t.Run("not probed", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			q, h := w.open()
			goingAway(w.dial(strings.Replace(q, "polling", "websocket", 1)))
			synctest.Wait()
			expect(t, "reason", h.closedWith(), "")
		})
	})
}

// Messages sent at full speed all through an upgrade arrive once and in order.
// Real time: the race is the point.
func TestUpgradeUnderLoad(t *testing.T) {
	const messages = 5000
	w := newWorld(t, Options{MaxQueue: 64 << 20})
	defer w.end()
	q, h := w.open()
	go func() {
		for i := range messages {
			if i%3 == 0 {
				h.session.Send(Text(fmt.Appendf(nil, "%d", i)), Binary(fmt.Appendf(nil, "%d", i)))
			} else {
				h.session.Send(Text(fmt.Appendf(nil, "%d", i)))
			}
		}
	}()
	var got []string
	polls := 0
	poll := func() {
		for r := range strings.SplitSeq(w.do("GET", q, "").body, "\x1e") {
			if r != "6" {
				got = append(got, r)
			}
		}
		polls++
	}
	poll()
	c := w.dial(strings.Replace(q, "polling", "websocket", 1))
	c.Say("2probe")
	probed := make(chan struct{})
	go func() { c.Next(); close(probed) }()
	for done := false; !done; {
		poll()
		select {
		case <-probed:
			done = true
		default:
		}
	}
	c.Say("5")
	want := messages + (messages+2)/3
	for len(got) < want {
		m := c.Next()
		if b, ok := strings.CutPrefix(m, "binary:"); ok {
			m = "b" + b
		}
		got = append(got, m)
	}
	i := 0
	for n := range messages {
		if got[i] != fmt.Sprint("4", n) {
			t.Fatalf("message %d is %q after %d polls", n, got[i], polls)
		}
		i++
		if n%3 == 0 {
			if b := fmt.Sprint(n); got[i] != "b"+b && got[i] != string(Binary([]byte(b)).payloadPacket()) {
				t.Fatalf("the attachment of message %d is %q", n, got[i])
			}
			i++
		}
	}
	c.Close()
}

// Many goroutines send while the session closes: nothing races, nothing hangs.
func TestSendWhileClosing(t *testing.T) {
	for range 20 {
		w := newWorld(t, Options{})
		c := w.dial(freshWS)
		c.Next()
		h := w.last()
		go c.Closed()
		done := make(chan struct{})
		for range 4 {
			go func() {
				for h.session.Send(Text([]byte("x"))) {
				}
				done <- struct{}{}
			}()
		}
		h.session.Close(ReasonForcedServer)
		for range 4 {
			<-done
		}
		w.end()
	}
}
