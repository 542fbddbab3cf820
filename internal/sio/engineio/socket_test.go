package engineio

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// dialSocket opens a session over a WebSocket, and returns the server's end too.
func (w *world) dialSocket() (*wiretest.WS, *wiretest.Socket, *heard) {
	w.t.Helper()
	c := w.dial(freshWS)
	w.mu.Lock()
	s := w.sockets[len(w.sockets)-1]
	w.mu.Unlock()
	c.Next() // open
	synctest.Wait()
	return c, s, w.last()
}

func expectParked(t *testing.T, what string, s *wiretest.Socket) {
	t.Helper()
	synctest.Wait()
	if held, parked := s.Watched(); !held || !parked {
		t.Errorf("%s: held %v, parked %v; want both", what, held, parked)
	}
}

func expectReleased(t *testing.T, what string, s *wiretest.Socket) {
	t.Helper()
	synctest.Wait()
	if held, _ := s.Watched(); held {
		t.Errorf("%s: the poller still holds the connection", what)
	}
}

// A silent WebSocket is parked, before it said anything, and between messages.
func TestParking(t *testing.T) {
	withSockets(t, Options{}, 64<<10, func(w *world) {
		c, s, h := w.dialSocket()
		expectParked(t, "new", s)
		for i := range 3 {
			c.Say(fmt.Sprint("4", i))
			c.Say("4again")
			expectParked(t, "after a message", s)
		}
		expect(t, "received", strings.Join(h.messages(), "|"), "text:0|text:again|text:1|text:again|text:2|text:again")
		for range 3 {
			expect(t, "ping", c.Next(), "2")
			c.Say("3")
			expectParked(t, "after a heartbeat", s)
		}
		c.Close()
		expectReleased(t, "closed", s)
		expect(t, "reason", h.closedWith(), ReasonTransportClose)
	})
}

// Messages that came together are read without a look, which is a system call, whether more
// has come.
func TestBurstIsReadWithoutLooks(t *testing.T) {
	withSockets(t, Options{}, 64<<10, func(w *world) {
		c, s, h := w.dialSocket()
		expectParked(t, "new", s)
		before := s.Looks()
		const burst = 100
		masked := []byte{0x81, 0x80 | 2, 0, 0, 0, 0, '4', 'x'}
		if _, err := c.NetConn().Write(bytes.Repeat(masked, burst)); err != nil {
			t.Fatal(err)
		}
		expectParked(t, "after a burst", s)
		expect(t, "received", len(h.messages()), burst)
		if looks := s.Looks() - before; looks > burst/10 {
			t.Errorf("%d looks for %d messages", looks, burst)
		}
		c.Close()
	})
}

// However a parked connection ends, it is let go of.
func TestEndsWhileParked(t *testing.T) {
	tests := []struct {
		name   string
		do     func(c *wiretest.WS, h *heard)
		reason Reason
	}{
		{"peer closes", func(c *wiretest.WS, _ *heard) { c.Close() }, ReasonTransportClose},
		{"peer says goodbye", func(c *wiretest.WS, _ *heard) { c.Say("1") }, ReasonTransportClose},
		{"server closes", func(_ *wiretest.WS, h *heard) { h.session.Close(ReasonForcedServer) }, ReasonForcedServer},
		{"peer is silent", func(*wiretest.WS, *heard) { time.Sleep(DefaultPingInterval + DefaultPingTimeout) }, ReasonPingTimeout},
		{"both at once", func(c *wiretest.WS, h *heard) {
			h.session.Close(ReasonForcedServer)
			c.Close()
		}, ReasonForcedServer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			withSockets(t, Options{}, 64<<10, func(w *world) {
				c, s, h := w.dialSocket()
				expectParked(t, "before", s)
				tt.do(c, h)
				time.Sleep(closeWait) // for those that do not answer the close
				expectReleased(t, "afterwards", s)
				expect(t, "reason", h.closedWith(), tt.reason)
				expect(t, "sessions", len(w.server.all()), 0)
				c.Close()
			})
		})
	}
}

// What does not fit waits for a goroutine of the connection's own, and what comes
// after it goes without one again; all of it in order, whole.
func TestSlowReader(t *testing.T) {
	const room = 1000
	withSockets(t, Options{}, room, func(w *world) {
		c, s, h := w.dialSocket()
		for round := range 3 {
			var want []string
			for i := range 50 {
				m := fmt.Sprint(round, ".", i, strings.Repeat("x", i*7))
				want = append(want, "4"+m)
				h.session.Send(Text([]byte(m)))
			}
			synctest.Wait()
			for _, m := range want {
				expect(t, "message", c.Next(), m)
			}
			synctest.Wait()
			full := s.Full()
			h.session.Send(Text([]byte("at once")))
			synctest.Wait()
			expect(t, "message", c.Next(), "4at once")
			expect(t, "attempts without room, for one that fits", s.Full()-full, 0)
		}
		c.Close()
	})
}

// Messages of one burst beyond what one system call takes.
func TestLongBurst(t *testing.T) {
	withSockets(t, Options{}, 1<<20, func(w *world) {
		c, _, h := w.dialSocket()
		var msgs []*Message
		for i := range 1000 {
			msgs = append(msgs, Text(fmt.Append(nil, i)))
		}
		h.session.Send(msgs...)
		for i := range msgs {
			expect(t, "message", c.Next(), fmt.Sprint("4", i))
		}
		c.Close()
	})
}

// A peer that takes nothing ends within the bounds of a close.
func TestFrozenSocket(t *testing.T) {
	withSockets(t, Options{MaxQueue: 10_000}, 500, func(w *world) {
		c, s, h := w.dialSocket()
		for h.session.Send(Text(make([]byte, 100))) {
			synctest.Wait()
		}
		time.Sleep(closeWait)
		expectReleased(t, "afterwards", s)
		expect(t, "reason", h.closedWith(), ReasonSlowConsumer)
		expect(t, "sessions", len(w.server.all()), 0)
		c.Close()
	})
}

// A write that fails ends the session.
func TestWriteFails(t *testing.T) {
	withSockets(t, Options{}, 500, func(w *world) {
		c, s, h := w.dialSocket()
		c.NetConn().Close()
		h.session.Send(Text([]byte("too late")))
		time.Sleep(closeWait)
		expectReleased(t, "afterwards", s)
		if r := h.closedWith(); r != ReasonTransportError && r != ReasonTransportClose {
			t.Errorf("reason = %q, want the transport's end", r)
		}
	})
}

// Whatever both sides do, in whatever order, all connections are let go of, and
// what arrives arrives in order.
func TestSocketChurn(t *testing.T) {
	for seed := range uint64(30) {
		withSockets(t, Options{MaxQueue: 50_000}, 2000, func(w *world) {
			r := rand.New(rand.NewPCG(seed, 3))
			for range 10 {
				c, s, h := w.dialSocket()
				next := 0
				reading := make(chan struct{})
				paused := time.Duration(r.IntN(3)) * time.Second
				go func() {
					defer close(reading)
					for got := 0; ; {
						_, m, err := c.ReadMessage()
						if err != nil {
							return
						}
						var n int
						if _, err := fmt.Sscanf(string(m), "4%d ", &n); err == nil {
							if n != got {
								t.Errorf("seed %d: message %d, want %d", seed, n, got)
							}
							got++
						}
						if got%10 == 0 {
							time.Sleep(paused)
						}
					}
				}()
				for range r.IntN(60) {
					switch r.IntN(8) {
					case 0:
						c.SayLater("4hello")
					case 1:
						time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
					case 2:
						c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Millisecond))
					default:
						if h.session.Send(Text(fmt.Appendf(nil, "%d %s", next, strings.Repeat("x", r.IntN(2000))))) {
							next++
						}
					}
				}
				switch r.IntN(4) {
				case 0:
					h.session.Close(ReasonForcedServer)
				case 1:
					c.SayLater("1")
				case 2:
					c.NetConn().Close()
				case 3:
					go h.session.Close(ReasonForcedServer)
					c.NetConn().Close()
				}
				time.Sleep(2 * closeWait)
				expectReleased(t, fmt.Sprint("seed ", seed), s)
				c.NetConn().Close()
				<-reading
			}
			expect(t, "sessions", len(w.server.all()), 0)
		})
	}
}

// A frame in one piece with the handshake is not left lying when the connection
// is parked.
func TestFrameWithHandshake(t *testing.T) {
	withSockets(t, Options{}, 64<<10, func(w *world) {
		c := w.begin("GET /socket.io/?" + freshWS + " HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
			"\x81\x86\x00\x00\x00\x004early")
		synctest.Wait()
		expect(t, "received", strings.Join(w.last().messages(), "|"), "text:early")
		c.Close()
	})
}
