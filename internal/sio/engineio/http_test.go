package engineio

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

func TestPollCompression(t *testing.T) {
	long := strings.Repeat("compress me ", 200)
	gunzip := func(b []byte) (io.Reader, error) { return gzip.NewReader(bytes.NewReader(b)) }
	inflate := func(b []byte) (io.Reader, error) { return zlib.NewReader(bytes.NewReader(b)) }
	tests := []struct {
		name, text, accept string
		opts               Options
		coding, vary       string
		open               func([]byte) (io.Reader, error)
	}{
		{"gzip", long, "gzip, deflate, br", Options{}, "gzip", "Accept-Encoding", gunzip},
		{"deflate", long, "deflate", Options{}, "deflate", "Accept-Encoding", inflate},
		{"weights", long, "gzip;q=0.2, deflate;q=0.8", Options{}, "deflate", "Accept-Encoding", inflate},
		{"anything", long, "*", Options{}, "gzip", "Accept-Encoding", gunzip},
		{"refused", long, "gzip;q=0", Options{}, "", "Accept-Encoding", nil},
		{"malformed weight", long, "gzip;q=x", Options{}, "", "Accept-Encoding", nil},
		{"not asked for", long, "identity", Options{}, "", "Accept-Encoding", nil},
		{"short", "short", "gzip", Options{}, "", "", nil},
		{"one byte below the threshold", strings.Repeat("x", compressThreshold-2), "gzip", Options{}, "", "", nil},
		{"switched off", long, "gzip", Options{NoHTTPCompression: true}, "", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.opts, func(w *world) {
				q, h := w.open()
				h.session.Send(Text([]byte(tt.text)))
				r := w.do("GET", q, "", "Accept-Encoding", tt.accept)
				expect(t, "Content-Encoding", r.header.Get("Content-Encoding"), tt.coding)
				expect(t, "Vary", r.header.Get("Vary"), tt.vary)
				expect(t, "Content-Length", r.header.Get("Content-Length"), fmt.Sprint(len(r.body)))
				body := r.body
				if tt.open != nil {
					z, err := tt.open([]byte(r.body))
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(z)
					if err != nil {
						t.Fatal(err)
					}
					body = string(b)
				}
				expect(t, "body", body, "4"+tt.text)
			})
		})
	}
}

func TestJSONP(t *testing.T) {
	all, err := ParseOrigins([]string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, Options{Origins: all}, func(w *world) {
		r := w.do("GET", fresh+"&j=12"+url.QueryEscape(");alert(3"), "")
		expect(t, "Content-Type", r.header.Get("Content-Type"), "text/javascript; charset=UTF-8")
		expect(t, "nosniff", r.header.Get("X-Content-Type-Options"), "nosniff")
		open, ok := strings.CutPrefix(r.body, `___eio[123]("0{`)
		if !ok || !strings.HasSuffix(open, `}");`) {
			t.Fatalf("open packet %q", r.body)
		}
		h := w.last()
		q := fresh + "&j=0&sid=" + url.QueryEscape(h.session.id)
		h.session.Send(Text([]byte("a\"\u2028</script>")), Binary([]byte{1}))
		expect(t, "poll", w.do("GET", q, "").body, `___eio[0]("4a\"\u2028\u003c/script\u003e\u001ebAQ==");`)

		form := url.Values{"d": {"4line\\nend" + "\x1e" + `4kept\\n`}}
		expect(t, "POST", w.do("POST", q, form.Encode(), "Content-Type", "application/x-www-form-urlencoded").body, "ok")
		expect(t, "received", strings.Join(h.messages(), "|"), "text:line\nend|text:kept\\n")
		expect(t, "a form without d", w.do("POST", q, "x=4lost").body, "ok")
		expect(t, "messages", len(h.messages()), 2)
		expect(t, "a bad payload", w.do("POST", q, "d=nonsense").status, 400)
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonParseError)
	})
}

// A script tag sends no Origin: the Referer has to tell whose page it is.
func TestJSONPOrigin(t *testing.T) {
	named, err := ParseOrigins([]string{"https://app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		headers []string
		status  int
	}{
		{"same origin", []string{"Referer", "http://server/page?x=1"}, 200},
		{"listed", []string{"Referer", "https://app.example.com/page"}, 200},
		{"foreign", []string{"Referer", "https://evil.example/"}, 403},
		{"hidden", nil, 403},
		{"foreign, by Origin", []string{"Origin", "https://evil.example", "Referer", "http://server/"}, 403},
	}
	inBubble(t, Options{Origins: named}, func(w *world) {
		for _, tt := range tests {
			expect(t, tt.name, w.do("GET", fresh+"&j=0", "", tt.headers...).status, tt.status)
		}
		expect(t, "no JSONP", w.do("GET", fresh, "").status, 200)
	})
}

func TestBase64Mode(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS + "&b64=1")
		c.Next()
		h := w.last()
		shared := Binary([]byte{1, 2, 3})
		h.session.Send(Text([]byte("text")), shared)
		expect(t, "text", c.Next(), "4text")
		expect(t, "binary", c.Next(), "bAQID")
		c.Say("bBAUG")
		synctest.Wait()
		expect(t, "received", strings.Join(h.messages(), "|"), "binary:\x04\x05\x06")

		plain := w.dial(freshWS)
		plain.Next()
		w.last().session.Send(shared)
		expect(t, "for another client", plain.Next(), "binary:\x01\x02\x03")
		c.Close()
		plain.Close()
	})
}

func TestCookieAndInitialHeaders(t *testing.T) {
	opts := Options{Cookie: Cookie{Name: "io"}, InitialHeaders: http.Header{"X-Served-By": {"a"}}}
	inBubble(t, opts, func(w *world) {
		r := w.do("GET", fresh, "")
		sid := w.last().session.id
		expect(t, "Set-Cookie", r.header.Get("Set-Cookie"), "io="+sid+"; Path=/; HttpOnly; SameSite=Lax")
		expect(t, "initial header", r.header.Get("X-Served-By"), "a")
		p := w.poll(fresh + "&sid=" + url.QueryEscape(sid))
		synctest.Wait()
		w.last().session.Send(Text(nil))
		r = <-p
		expect(t, "Set-Cookie, second answer", r.header.Get("Set-Cookie"), "")
		expect(t, "initial header, second answer", r.header.Get("X-Served-By"), "")

		c, res, err := w.listener.DialWS(t, freshWS)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "websocket: Set-Cookie", res.Header.Get("Set-Cookie"), "")
		expect(t, "websocket: initial header", res.Header.Get("X-Served-By"), "a")
		c.Close()
	})
	for what, c := range map[string]Cookie{
		"a name with a semicolon": {Name: "a;b"}, "a path with a semicolon": {Name: "io", Path: "/;Domain=x"}, "a path without its slash": {Name: "io", Path: "x"},
		"SameSite=None without Secure":    {Name: "io", SameSite: http.SameSiteNoneMode},
		"a name for https without Secure": {Name: "__Secure-io"}, "a name for one path with another": {Name: "__Host-io", Secure: true, Path: "/rt"},
	} {
		if _, err := NewServer(Options{Cookie: c}, &world{}); err == nil {
			t.Errorf("a cookie with %s was taken", what)
		}
	}
}

func TestCookieAttributes(t *testing.T) {
	for want, c := range map[string]Cookie{
		"; Path=/rt; HttpOnly; SameSite=Lax":                  {Path: "/rt"},
		"; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict":   {MaxAge: time.Hour, SameSite: http.SameSiteStrictMode},
		"; Path=/; HttpOnly; Secure; SameSite=None":           {Secure: true, SameSite: http.SameSiteNoneMode},
		"; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Lax": {Secure: true, MaxAge: 1900 * time.Millisecond},
	} {
		c.Name = "io"
		inBubble(t, Options{Cookie: c}, func(w *world) {
			r := w.do("GET", fresh, "")
			expect(t, "Set-Cookie", r.header.Get("Set-Cookie"), "io="+w.last().session.id+want)
		})
	}
}

// A transport that is left out is unknown, to upgrades too, and offered to nobody.
func TestTransports(t *testing.T) {
	for _, tt := range []struct {
		names               string
		polling, websocket  bool
		upgrades, upgrades3 string
	}{
		{"", true, true, `["websocket","webtransport"]`, `["websocket"]`},
		{"polling", true, false, `[]`, `[]`},
		{"websocket", false, true, ``, ``},
		{"websocket polling", true, true, `["websocket"]`, `["websocket"]`},
		{"polling webtransport", true, false, `["webtransport"]`, `[]`},
		{"webtransport", false, false, ``, ``},
	} {
		var transports Transports
		if tt.names != "" {
			var err error
			if transports, err = ParseTransports(strings.Fields(tt.names)); err != nil {
				t.Fatal(err)
			}
		}
		inBubble(t, Options{Transports: transports, WebTransport: true, AllowEIO3: true}, func(w *world) {
			const unknown = `{"code":0,"message":"Transport unknown"}`
			r := w.do("GET", fresh, "")
			expect(t, tt.names+": polling", r.status == 200, tt.polling)
			if !tt.polling {
				expect(t, tt.names+": refusal", r.body, unknown)
			} else {
				expect(t, tt.names+": upgrades", strings.Contains(r.body, `"upgrades":`+tt.upgrades), true)
				expect(t, tt.names+": upgrades of v3", strings.Contains(w.do("GET", freshV3, "").body, `"upgrades":`+tt.upgrades3), true)
			}
			queries := []string{freshWS}
			if tt.polling {
				queries = append(queries, freshWS+"&sid="+w.sid(r.body[1:]))
			}
			for _, q := range queries {
				c, res, err := w.listener.DialWS(t, q)
				expect(t, tt.names+": websocket", err == nil, tt.websocket)
				if err == nil {
					c.Close()
				} else {
					expect(t, tt.names+": refusal", res.StatusCode, 400)
				}
			}
		})
	}
	for _, names := range [][]string{nil, {"polling", "carrier-pigeon"}, {"Polling"}} {
		if _, err := ParseTransports(names); err == nil {
			t.Errorf("%q were taken", names)
		}
	}
}

func TestPreflight(t *testing.T) {
	named, err := ParseOrigins([]string{"https://app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, Options{Origins: named}, func(w *world) {
		r := w.do("OPTIONS", fresh, "", "Origin", "https://app.example.com",
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-token")
		expect(t, "status", r.status, 204)
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":      "https://app.example.com",
			"Access-Control-Allow-Credentials": "true",
			"Access-Control-Allow-Methods":     "GET, POST",
			"Access-Control-Allow-Headers":     "x-token",
		} {
			expect(t, name, r.header.Get(name), want)
		}
		r = w.do("OPTIONS", fresh, "", "Origin", "https://evil.example")
		expect(t, "foreign: status", r.status, 403)
		expect(t, "foreign: Access-Control-Allow-Origin", r.header.Get("Access-Control-Allow-Origin"), "")
		expect(t, "sessions", len(w.sessions), 0)
	})
}

func TestHEAD(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		expect(t, "without a session", w.do("HEAD", fresh, "").status, 400)
		q, h := w.open()
		h.session.Send(Text([]byte("kept")))
		expect(t, "with one", w.do("HEAD", q, "").status, 400)
		expect(t, "what waits", w.do("GET", q, "").body, "4kept")
	})
}

// A body that trickles in costs its session, after a bounded time.
func TestSlowPost(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		w.poll(q)
		c, err := w.listener.Dial(context.Background(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			fmt.Fprintf(c, "POST /socket.io/?%s HTTP/1.1\r\nHost: server\r\nContent-Length: 100000\r\n\r\n4", q)
			for {
				time.Sleep(time.Second)
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		go io.Copy(io.Discard, c)
		time.Sleep(DefaultPingInterval + DefaultPingTimeout + 2*time.Second)
		synctest.Wait()
		if r := h.closedWith(); r != ReasonTransportError && r != ReasonPingTimeout {
			t.Errorf("reason = %q, want an end", r)
		}
		expect(t, "messages", len(h.messages()), 0)
		c.Close()
		time.Sleep(2 * time.Second) // the writer notices
	})
}

// A message may come in any number of pieces, but not for ever.
func TestFragments(t *testing.T) {
	inBubble(t, Options{MaxPayload: 1000}, func(w *world) {
		c := w.dial(freshWS)
		c.Next()
		h := w.last()
		raw := c.NetConn()
		go io.Copy(io.Discard, raw)
		// piece is a masked fragment (RFC 6455, 5.2), its mask all zero.
		piece := func(first byte, data string) error {
			_, err := raw.Write(append([]byte{first, 0x80 | byte(len(data)), 0, 0, 0, 0}, data...))
			return err
		}
		piece(wsconn.OpText, "4")
		for range 500 {
			piece(0, "x")
		}
		piece(0x80, "")
		synctest.Wait()
		expect(t, "received", strings.Join(h.messages(), "|"), "text:"+strings.Repeat("x", 500))

		piece(wsconn.OpText, "4")
		go func() {
			for piece(0, "") == nil {
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(DefaultPingInterval + DefaultPingTimeout + closeWait + time.Second)
		synctest.Wait()
		expect(t, "reason after empty pieces", h.closedWith(), ReasonPingTimeout)
		expect(t, "sessions", w.server.Sessions()[transportWebSocket], 0)
	})
}

// Requests that overlap, and requests that are given up, from many browsers at
// once: each session ends for its own mistake, the others notice nothing.
func TestOverlapAndAbortUnderLoad(t *testing.T) {
	const browsers = 60
	inBubble(t, Options{}, func(w *world) {
		w.client.Transport.(*http.Transport).MaxConnsPerHost = 0
		var all sync.WaitGroup
		var mu sync.Mutex
		honest := map[*heard]string{}
		for i := range browsers {
			mu.Lock()
			q, h := w.open()
			mu.Unlock()
			all.Go(func() {
				switch i % 3 {
				case 0: // overlaps
					p := w.poll(q)
					w.do("GET", q, "")
					<-p
				case 1: // gives up
					ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
					defer cancel()
					w.doContext(ctx, "GET", q, "")
				default:
					for n := range 20 {
						p := w.poll(q)
						time.Sleep(time.Millisecond) // fake: let the poll arrive
						h.session.Send(Text(fmt.Append(nil, n)))
						if got := (<-p).body; got != fmt.Sprint("4", n) {
							t.Errorf("browser %d got %q, want message %d", i, got, n)
						}
						w.do("POST", q, "4x")
					}
					mu.Lock()
					honest[h] = q
					mu.Unlock()
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for _, h := range w.sessions {
			want := ReasonTransportError
			if honest[h] != "" {
				want = ""
			}
			expect(t, "reason", h.closedWith(), want)
		}
		expect(t, "sessions", w.server.Sessions()[transportPolling], browsers/3)
	})
}

func TestInitialHeadersAreNotTheUpgrades(t *testing.T) {
	inBubble(t, Options{InitialHeaders: http.Header{"X-Served-By": {"a"}}}, func(w *world) {
		q, _ := w.open()
		c, res, err := w.listener.DialWS(t, strings.Replace(q, "polling", "websocket", 1))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "initial header", res.Header.Get("X-Served-By"), "")
		c.Close()
	})
}
