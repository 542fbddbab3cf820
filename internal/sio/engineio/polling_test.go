package engineio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPollingOpen(t *testing.T) {
	inBubble(t, Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Millisecond}, func(w *world) {
		r := w.do("GET", fresh, "")
		expect(t, "status", r.status, 200)
		expect(t, "Content-Type", r.header.Get("Content-Type"), "text/plain; charset=UTF-8")
		expect(t, "Cache-Control", r.header.Get("Cache-Control"), "no-store")
		var open map[string]any
		if err := json.Unmarshal([]byte(strings.TrimPrefix(r.body, "0")), &open); err != nil {
			t.Fatal(err)
		}
		delete(open, "sid")
		b, _ := json.Marshal(open)
		expect(t, "open packet", string(b), `{"maxPayload":1000000,"pingInterval":300,"pingTimeout":200,"upgrades":["websocket"]}`)
	})
}

func TestPollingBothWays(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		r := w.do("POST", q, payload("4hello", "bAQID", "4"))
		expect(t, "POST status", r.status, 200)
		expect(t, "POST body", r.body, "ok")
		got := strings.Join(h.messages(), "|")
		expect(t, "received", got, "text:hello|binary:\x01\x02\x03|text:")

		h.session.Send(Text([]byte("one")), Binary([]byte{1, 2, 3}))
		h.session.Send(Text([]byte("zwei €")))
		expect(t, "poll", w.do("GET", q, "").body, payload("4one", "bAQID", "4zwei €"))

		// A poll that finds nothing waits for what comes.
		p := w.poll(q)
		synctest.Wait()
		h.session.Send(Text([]byte("late")))
		expect(t, "pending poll", (<-p).body, "4late")
	})
}

// Each row of the protocol's error table, word for word.
// noUpgrade is how a proxy that drops Upgrade and Connection is told of.
const noUpgrade = `{"code":3,"message":"Bad request: a WebSocket's handshake without the headers Upgrade and Connection, which a proxy in front may have dropped"}`

func TestErrors(t *testing.T) {
	plain := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	tests := []struct {
		name, method, query string
		headers             []string
		status              int
		body                string
	}{
		{"no transport", "GET", "EIO=4", nil, 400, `{"code":0,"message":"Transport unknown"}`},
		{"unlisted transport", "GET", "EIO=4&transport=carrier-pigeon", nil, 400, `{"code":0,"message":"Transport unknown"}`},
		{"webtransport is off", "GET", "EIO=4&transport=webtransport", nil, 400, `{"code":0,"message":"Transport unknown"}`},
		{"unknown sid", "GET", fresh + "&sid=nope", nil, 400, `{"code":1,"message":"Session ID unknown"}`},
		{"empty sid", "GET", fresh + "&sid=", nil, 400, `{"code":1,"message":"Session ID unknown"}`},
		{"POST without sid", "POST", fresh, nil, 400, `{"code":2,"message":"Bad handshake method"}`},
		{"OPTIONS without sid and origin", "OPTIONS", fresh, nil, 400, `{"code":2,"message":"Bad handshake method"}`},
		{"websocket without Upgrade", "GET", "EIO=4&transport=websocket", nil, 400, noUpgrade},
		{"websocket without Connection", "GET", "EIO=4&transport=websocket", []string{"Upgrade", "websocket"}, 400, noUpgrade},
		{"old protocol", "GET", "EIO=3&transport=polling", nil, 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"no protocol", "GET", "transport=polling", nil, 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"repeated parameters: the last wins", "GET", "EIO=4&EIO=3&transport=polling", nil, 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"upgrade, unknown transport", "GET", "EIO=4&transport=x", plain, 400, "Transport unknown"},
		{"upgrade, unknown sid", "GET", "EIO=4&transport=websocket&sid=nope", plain, 400, "Session ID unknown"},
		{"upgrade, polling", "GET", fresh, plain, 400, "Bad request"},
		{"upgrade, old protocol", "GET", "EIO=3&transport=websocket", plain, 400, "Unsupported protocol version"},
		{"plain WebSocket client", "GET", "", plain, 400, "Transport unknown" + plainClient},
		{"plain WebSocket client that guessed the transport", "GET", "transport=websocket", plain, 400, "Unsupported protocol version" + plainClient},
	}
	inBubble(t, Options{}, func(w *world) {
		for _, tt := range tests {
			r := w.do(tt.method, tt.query, "", tt.headers...)
			expect(t, tt.name+": status", r.status, tt.status)
			expect(t, tt.name+": body", r.body, tt.body)
		}
		if n := len(w.sessions); n != 0 {
			t.Errorf("%d sessions were opened", n)
		}
	})
}

func TestErrorsOfASession(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		bad := `{"code":3,"message":"Bad request"}`
		for name, r := range map[string]reply{
			"PUT":         w.do("PUT", q, ""),
			"another EIO": w.do("GET", strings.Replace(q, "EIO=4", "EIO=3", 1), ""),
		} {
			expect(t, name+": status", r.status, 400)
			expect(t, name+": body", r.body, bad)
		}
		expect(t, "another transport", w.do("GET", strings.Replace(q, "polling", "websocket", 1), "").body, noUpgrade)
		expect(t, "reason", h.closedWith(), "") // it lives on
	})
	inBubble(t, Options{}, func(w *world) {
		w.refuse = errors.New("not you")
		r := w.do("GET", fresh, "")
		expect(t, "refused: status", r.status, 403)
		expect(t, "refused: body", r.body, `{"code":4,"message":"not you"}`)
	})
}

func TestPollingOverlap(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		p := w.poll(q)
		synctest.Wait()
		expect(t, "second GET", w.do("GET", q, "").status, 400)
		first := <-p
		expect(t, "first GET: status", first.status, 200)
		expect(t, "first GET: body", first.body, "1")
		synctest.Wait()
		expect(t, "afterwards", w.do("GET", q, "").body, `{"code":1,"message":"Session ID unknown"}`)
		expect(t, "reason", h.closedWith(), ReasonTransportError)
	})
}

// slowWriter has its answer read before the handler knows that it is written.
type slowWriter struct {
	*httptest.ResponseRecorder
	written chan struct{}
}

func (w *slowWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseRecorder.Write(b)
	<-w.written
	return n, err
}

// The next GET may come as soon as an answer has arrived; it waits for its turn.
func TestPollingNextGET(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		h.session.Send(Text([]byte("a")))
		first := &slowWriter{httptest.NewRecorder(), make(chan struct{})}
		go w.server.ServeHTTP(first, httptest.NewRequest("GET", "http://server/socket.io/?"+q, nil))
		synctest.Wait()
		expect(t, "first", first.Body.String(), "4a")
		p := w.poll(q)
		synctest.Wait()
		h.session.Send(Text([]byte("b")))
		synctest.Wait()
		select {
		case r := <-p:
			t.Errorf("answered %+v out of turn", r)
		default:
		}
		close(first.written)
		expect(t, "second", (<-p).body, "4b")
		p = w.poll(q)
		synctest.Wait()
		expect(t, "reason", h.closedWith(), "")
		h.session.Send(Text([]byte("c")))
		expect(t, "third", (<-p).body, "4c")
	})
}

func TestPollingAbort(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan reply)
		go func() { done <- w.doContext(ctx, "GET", q, "") }()
		synctest.Wait()
		cancel()
		<-done
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonTransportError)
	})
}

func TestPostRefused(t *testing.T) {
	tests := []struct {
		name, body string
		headers    []string
		status     int
		reason     Reason
	}{
		{"empty", "", nil, 400, ReasonParseError},
		{"unknown type", "abc", nil, 400, ReasonParseError},
		{"empty packet at the end", "4a\x1e", nil, 400, ReasonParseError},
		{"bad base64", "b***", nil, 400, ReasonParseError},
		{"binary body", "4a", []string{"Content-Type", "application/octet-stream"}, 400, ReasonTransportError},
		{"too large", strings.Repeat("4", 1001), nil, 413, ""},
		{"client pings", "2", nil, 200, ReasonTransportError},
		{"unsolicited pong", "3", nil, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{MaxPayload: 1000}, func(w *world) {
				q, h := w.open()
				r := w.do("POST", q, tt.body, tt.headers...)
				expect(t, "status", r.status, tt.status)
				if tt.status != 200 {
					expect(t, "body", r.body, "")
				}
				synctest.Wait()
				expect(t, "reason", h.closedWith(), tt.reason)
				if tt.reason != "" {
					expect(t, "next poll", w.do("GET", q, "").status, 400)
				}
			})
		})
	}
}

// The packets before an invalid one count, as in the reference.
func TestPostValidBeforeInvalid(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		expect(t, "status", w.do("POST", q, payload("4a", "x", "4b")).status, 400)
		expect(t, "received", strings.Join(h.messages(), "|"), "text:a")
	})
}

func TestPollingClientCloses(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		p := w.poll(q)
		synctest.Wait()
		r := w.do("POST", q, payload("1", "4after"))
		expect(t, "POST", r.body, "ok")
		expect(t, "GET", (<-p).body, "6")
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonTransportClose)
		expect(t, "messages after the close", len(h.messages()), 0)
	})
}

// The browser's close may overtake the poll it was sent along with.
func TestPollingClientClosesFirst(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, _ := w.open()
		w.do("POST", q, "1")
		synctest.Wait()
		expect(t, "overtaken GET", w.do("GET", q, "").body, "6")
		synctest.Wait()
		expect(t, "next GET", w.do("GET", q, "").status, 400)

		q, _ = w.open()
		w.do("POST", q, "1")
		time.Sleep(overtakenPollWait + time.Millisecond)
		expect(t, "late GET", w.do("GET", q, "").status, 400)
	})
}

func TestPollingServerCloses(t *testing.T) {
	t.Run("with a pending poll", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			q, h := w.open()
			p := w.poll(q)
			synctest.Wait()
			h.session.Send(Text([]byte("bye")))
			h.session.Close(ReasonForcedServer)
			expect(t, "poll", (<-p).body, "4bye")
			expect(t, "next poll", w.do("GET", q, "").body, "1")
		})
	})
	t.Run("with the next poll", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			q, h := w.open()
			h.session.Send(Text([]byte("bye")))
			h.session.Close(ReasonForcedServer)
			synctest.Wait()
			expect(t, "reason", h.closedWith(), ReasonForcedServer) // told at once
			expect(t, "poll", w.do("GET", q, "").body, "4bye")
			expect(t, "next poll", w.do("GET", q, "").body, "1")
			synctest.Wait()
			expect(t, "afterwards", w.do("GET", q, "").status, 400)
		})
	})
	t.Run("without any", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			_, h := w.open()
			h.session.Close(ReasonForcedServer)
			time.Sleep(lastPollWait + time.Second)
			expect(t, "sessions", w.server.Sessions()[transportPolling], 0)
		})
	})
}

func TestShutdownPolling(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		p := w.poll(q)
		_, idle := w.open()
		synctest.Wait()
		if err := w.server.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		expect(t, "poll", (<-p).body, "1")
		expect(t, "reason", h.closedWith(), ReasonShutdown)
		expect(t, "reason of the idle one", idle.closedWith(), ReasonShutdown)
		expect(t, "new session", w.do("GET", fresh, "").status, 503)
	})
}

func TestSlowConsumer(t *testing.T) {
	inBubble(t, Options{MaxQueue: 1000 + 2*messageCost}, func(w *world) {
		q, h := w.open()
		m := Text(make([]byte, 400))
		expect(t, "first", h.session.Send(m), true)
		expect(t, "second", h.session.Send(m), true)
		expect(t, "queued", h.session.Queued(), 2*len(m.frame))
		expect(t, "third", h.session.Send(m), false)
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonSlowConsumer)
		expect(t, "queued", h.session.Queued(), 0)
		expect(t, "poll", w.do("GET", q, "").status, 400)
	})
}

func TestVolatile(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		expect(t, "without a poll", h.session.SendVolatile(Text([]byte("a"))), false)
		p := w.poll(q)
		synctest.Wait()
		expect(t, "with a poll", h.session.SendVolatile(Text([]byte("b"))), true)
		expect(t, "poll", (<-p).body, "4b")
	})
}

// What may be replaced waits in its share of the outbox; the oldest goes first,
// and what may not be dropped stays in its place.
func TestLatest(t *testing.T) {
	const share = 100 + 6*messageCost // three packets of two messages
	inBubble(t, Options{MaxQueue: latestShare * share}, func(w *world) {
		q, h := w.open()
		position := func(name string) bool {
			return h.session.SendLatest(Text(fmt.Appendf(nil, "%s%s", name, strings.Repeat(".", 20))), Binary([]byte(name)))
		}
		for _, name := range []string{"a", "b"} {
			expect(t, name, position(name), true)
		}
		h.session.Send(Text([]byte("keep")))
		for _, name := range []string{"c", "d", "e"} {
			expect(t, name, position(name), true)
		}
		expect(t, "beyond the share", h.session.SendLatest(Text(make([]byte, share))), false)
		expect(t, "dropped", h.session.Dropped(), 3)
		var got []string
		for r := range strings.SplitSeq(w.do("GET", q, "").body, "\x1e") {
			got = append(got, strings.TrimRight(r, "."))
		}
		expect(t, "poll", strings.Join(got, " "), "4keep 4c bYw== 4d bZA== 4e bZQ==")

		p := w.poll(q)
		synctest.Wait()
		expect(t, "at once", position("f"), true)
		synctest.Wait()
		<-p
		expect(t, "still dropped", h.session.Dropped(), 3)
		dropped := w.server.Stats().Dropped
		expect(t, "dropped by all", dropped, 3)

		// What must not be dropped may need all the room there is.
		h.session.Send(Text(make([]byte, latestShare*share-messageCost-10)))
		expect(t, "in a full outbox", position("g"), false)
		expect(t, "reason", h.closedWith(), "")
	})
}

// Whatever is pushed in whatever order: the bytes are those of what waits, and
// the latest are where they are said to be.
func TestLatestKeepsCount(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		o := outbox{limit: 2000}
		var want []string // what waits, in order
		for range 100 {
			text := strings.Repeat("x", random.IntN(60))
			m := Text([]byte(text))
			switch random.IntN(5) {
			case 0:
				if o.push(m) == nil {
					want = append(want, "keep")
				}
			default:
				dropped, ok := o.pushLatest(m)
				if !ok {
					dropped--
				}
				for range dropped {
					i := slices.Index(want, "drop")
					want = slices.Delete(want, i, i+1)
				}
				if ok {
					want = append(want, "drop")
				}
			}
			bytes, latest := 0, 0
			for _, m := range o.queue {
				bytes += m.size()
			}
			if o.latest != nil {
				for i, p := range o.latest.packets {
					latest += p.bytes
					if o.queue[p.start].size() != p.bytes || i > 0 && p.start <= o.latest.packets[i-1].start {
						t.Fatalf("packet %d is not at %d", i, p.start)
					}
				}
				expect(t, "bytes of the latest", o.latest.bytes, latest)
				if latest > o.limit/latestShare {
					t.Fatalf("%d bytes of the latest", latest)
				}
			}
			expect(t, "bytes", o.bytes, bytes)
			expect(t, "messages", len(o.queue), len(want))
		}
	}
}

func TestHeartbeatPolling(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		start := time.Now()
		for range 3 {
			expect(t, "ping", w.do("GET", q, "").body, "2")
			w.do("POST", q, "3")
		}
		expect(t, "three pings after", time.Since(start), 75*time.Second)
		expect(t, "ping", w.do("GET", q, "").body, "2")
		p := w.poll(q)
		time.Sleep(19 * time.Second)
		synctest.Wait()
		expect(t, "reason in time", h.closedWith(), "")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonPingTimeout)
		expect(t, "pending poll", (<-p).body, "1")
	})
}

// A packet that is no pong extends the wait for the pong, once.
func TestHeartbeatExtension(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		expect(t, "ping", w.do("GET", q, "").body, "2")
		time.Sleep(15 * time.Second)
		w.do("POST", q, "4x")
		time.Sleep(15 * time.Second) // 30 s after the ping
		w.do("POST", q, "4x")
		synctest.Wait()
		expect(t, "reason after one extension", h.closedWith(), "")
		time.Sleep(6 * time.Second) // 21 s after the extension
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonPingTimeout)
	})
}

// A body that is refused unread is read all the same before the answer, which a client that
// is still sending may not find otherwise: the connection would be reset.
func TestPostRefusedIsRead(t *testing.T) {
	inBubble(t, Options{MaxPayload: 1e6}, func(w *world) {
		q, h := w.open()
		c := w.begin("POST /socket.io/?" + q + " HTTP/1.1\r\nHost: server\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n4")
		synctest.Wait()
		expect(t, "before its body has come", h.closedWith(), "")
		rest := strings.Repeat("4", 1e6-1)
		if n, err := c.Write([]byte(rest)); n != len(rest) || err != nil {
			t.Errorf("sent %d of %d: %v", n, len(rest), err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %v, %v", res, err)
		}
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonTransportError)
	})
}
