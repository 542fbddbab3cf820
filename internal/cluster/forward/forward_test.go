package forward

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// testNode is a node whose handler says what it was asked.
type testNode struct {
	*Handler
	server *httptest.Server
}

// nodes starts nodes with the epochs aaaa1, aaaa2 and so on.
func nodes(t *testing.T, number int, keys ...[]byte) []*testNode {
	t.Helper()
	all := make([]*testNode, number)
	address := map[string]string{}
	lookup := func(epoch string) (string, error) {
		if a, ok := address[epoch]; ok {
			return a, nil
		}
		return "", ErrUnknown
	}
	for i := range all {
		epoch := fmt.Sprint("aaaa", i+1)
		upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if websocket.IsWebSocketUpgrade(r) {
				c, err := upgrader.Upgrade(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				for {
					kind, b, err := c.ReadMessage()
					if err != nil || c.WriteMessage(kind, append([]byte(epoch+" "), b...)) != nil {
						return
					}
				}
			}
			body, _ := io.ReadAll(r.Body)
			host, _, _ := strings.Cut(r.RemoteAddr, ":")
			fmt.Fprintf(w, "%s %s %s %s for=%s mark=%q remote=%s port=%v tls=%v host=%s body=%d", epoch, r.Method, r.URL.Path, r.URL.RawQuery,
				r.Header.Get("X-Forwarded-For"), r.Header.Get(Header), host, strings.HasSuffix(r.RemoteAddr, ":1"), r.TLS != nil, r.Host, len(body))
		})
		key, err := KeyOf([]byte("secret"), "c")
		if err != nil {
			t.Fatal(err)
		}
		if i < len(keys) {
			key = keys[i]
		}
		n := &testNode{Handler: New(serve, Options{Epoch: epoch, Address: lookup, Key: key, Logger: slog.New(slog.DiscardHandler)})}
		n.server = httptest.NewServer(n)
		t.Cleanup(n.server.Close)
		address[epoch] = n.server.Listener.Addr().String()
		all[i] = n
	}
	return all
}

func do(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "app.example"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestForward: requests of another node's session get there as they came; all others
// stay.
func TestForward(t *testing.T) {
	all := nodes(t, 2)
	for _, tt := range []struct{ query, want string }{
		{"sid=aaaa2xxxxxxxxxxxxxxx", "aaaa2"},
		{"EIO=4&transport=polling&sid=aaaa2xxxxxxxxxxxxxxx&t=1", "aaaa2"},
		{"sid=aaaa1xxxxxxxxxxxxxxx", "aaaa1"},
		{"sid=zzzzzxxxxxxxxxxxxxxx", "aaaa1"},
		{"xsid=aaaa2xxxxxxxxxxxxxxx", "aaaa1"},
		{"sid=", "aaaa1"}, {"sid=aaaa2", "aaaa1"}, {"sid=%61aaa2xxxxxxxxxxxxxxx", "aaaa1"}, {"", "aaaa1"},
	} {
		_, got := do(t, "POST", all[0].server.URL+"/socket.io/?"+tt.query, strings.Repeat("x", 100_000), "X-Forwarded-For", "192.0.2.1")
		want := fmt.Sprintf("%s POST /socket.io/ %s for=192.0.2.1 mark=\"\" remote=127.0.0.1 port=false tls=false host=app.example body=100000", tt.want, tt.query)
		if got != want {
			t.Errorf("%q:\n%s, want\n%s", tt.query, got, want)
		}
	}
	if s := all[0].Stats(); s != (Stats{Forwarded: 2}) {
		t.Errorf("counts: %+v", s)
	}
}

// TestForwardExpect: a client that asks before it sends a body is told once to go on.
func TestForwardExpect(t *testing.T) {
	all := nodes(t, 2)
	c, err := net.Dial("tcp", all[0].server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /socket.io/?sid=aaaa2xxxxxxxxxxxxxxx HTTP/1.1\r\nHost: app.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	asked := make([]byte, len(goOn))
	if _, err := io.ReadFull(c, asked); err != nil || string(asked) != goOn {
		t.Fatalf("%q, %v", asked, err)
	}
	fmt.Fprint(c, "40")
	b, err := io.ReadAll(c)
	if got := string(b); err != nil || !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "body=2") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestForwardSecure: the other node learns that a client came by TLS.
func TestForwardSecure(t *testing.T) {
	all := nodes(t, 2)
	secure := httptest.NewTLSServer(all[0])
	defer secure.Close()
	for sid, want := range map[string]string{"aaaa2xxxxxxxxxxxxxxx": "aaaa2 ", "aaaa1xxxxxxxxxxxxxxx": "aaaa1 "} {
		resp, err := secure.Client().Get(secure.URL + "/socket.io/?sid=" + sid)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := string(b); err != nil || !strings.HasPrefix(got, want) || !strings.Contains(got, " tls=true ") {
			t.Errorf("%s: %s, %v", sid, got, err)
		}
	}
}

// TestMarkedOnly: where only nodes are to come, nobody else is served.
func TestMarkedOnly(t *testing.T) {
	all := nodes(t, 2)
	own := httptest.NewServer(MarkedOnly(all[1]))
	defer own.Close()
	status, text := do(t, "GET", own.URL+"/?sid=aaaa2xxxxxxxxxxxxxxx", "")
	if status != http.StatusForbidden {
		t.Errorf("without a mark: %d %s", status, text)
	}
	m := mark{at: time.Now(), owner: "aaaa2", client: "203.0.113.9:1", secure: true}
	status, text = do(t, "GET", own.URL+"/?sid=aaaa2xxxxxxxxxxxxxxx", "", Header, m.sign(all[0].opts.Key, "aaaa2xxxxxxxxxxxxxxx"))
	if status != http.StatusOK || !strings.Contains(text, "remote=203.0.113.9 port=true tls=true") {
		t.Errorf("with a mark: %d %s", status, text)
	}
}

// TestForwardUpgrade: a WebSocket of another node's session lives there.
func TestForwardUpgrade(t *testing.T) {
	all := nodes(t, 2)
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(all[0].server.URL, "http")+"/socket.io/?sid=aaaa2xxxxxxxxxxxxxxx", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 3 {
		if err := c.WriteMessage(websocket.TextMessage, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || string(got) != fmt.Sprint("aaaa2 ", i) {
			t.Errorf("%s, %v", got, err)
		}
	}
}

// TestForgedMarks: a mark of somebody who does not know the secret, or for another
// session or node, or of long ago, makes no difference and goes no further.
func TestForgedMarks(t *testing.T) {
	all := nodes(t, 2)
	const sid = "aaaa1xxxxxxxxxxxxxxx"
	good, err := KeyOf([]byte("secret"), "c")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := KeyOf([]byte("another secret"), "c")
	cluster, _ := KeyOf([]byte("secret"), "d")
	m := mark{at: time.Now(), owner: "aaaa1", client: "203.0.113.9:1"}
	old, late := m, m
	old.at, late.at = m.at.Add(-2*markLife), m.at.Add(2*markLife)
	for name, tt := range map[string]struct {
		header   string
		believed bool
	}{
		"good":            {m.sign(good, sid), true},
		"another secret":  {m.sign(other, sid), false},
		"another cluster": {m.sign(cluster, sid), false},
		"another session": {m.sign(good, "aaaa1yyyyyyyyyyyyyyy"), false},
		"old":             {old.sign(good, sid), false},
		"late":            {late.sign(good, sid), false},
		"cut":             {m.sign(good, sid)[:20], false},
		"nothing":         {"x", false},
		"long":            {strings.Repeat("x ", 1000), false},
	} {
		_, got := do(t, "GET", all[0].server.URL+"/socket.io/?sid="+sid, "", Header, tt.header)
		if !strings.Contains(got, `mark=""`) {
			t.Errorf("%s: the mark is seen: %s", name, got)
		}
		if believed := strings.Contains(got, "remote=203.0.113.9 port=true"); believed != tt.believed {
			t.Errorf("%s: %s", name, got)
		}
	}
	// A marked request goes no further, even if the node is another's past.
	m.owner = "aaaa0"
	if _, got := do(t, "GET", all[0].server.URL+"/?sid=aaaa2xxxxxxxxxxxxxxx", "", Header, m.sign(good, "aaaa2xxxxxxxxxxxxxxx")); !strings.HasPrefix(got, "aaaa1 ") {
		t.Errorf("a marked request was handed over: %s", got)
	}
}

// TestOwnerAway: a node that cannot be reached is answered for.
func TestOwnerAway(t *testing.T) {
	all := nodes(t, 2)
	all[1].server.Close()
	status, body := do(t, "GET", all[0].server.URL+"/?sid=aaaa2xxxxxxxxxxxxxxx", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"code":1`) {
		t.Errorf("%d %s", status, body)
	}
	if s := all[0].Stats(); s.Failed != 1 {
		t.Errorf("counts: %+v", s)
	}
}

func FuzzMark(f *testing.F) {
	key, err := KeyOf([]byte("secret"), "c")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	m := mark{at: now, owner: "aaaa1", client: "203.0.113.9:1"}
	f.Add(m.sign(key, "sid"), "sid")
	f.Add("1 2 3 4", "")
	f.Fuzz(func(t *testing.T, header, sid string) {
		if got, ok := parseMark(key, header, sid, now); ok && (header != got.sign(key, sid) || sid != "sid") {
			t.Fatalf("%q of %q is believed: %+v", header, sid, got)
		}
	})
}
