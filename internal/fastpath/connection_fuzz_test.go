package fastpath

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// FuzzConnection sends the same bytes to a Server and to a bare http.Server, and then nothing
// more. The handler's answers say all that it sees of its requests, so that both connections
// have to have the same answers, to the same end: nothing is taken for a request, or for the
// end of one, that net/http does not take for it.
func FuzzConnection(f *testing.F) {
	if !canPeek {
		f.Skip("this system cannot peek at connections")
	}
	for _, s := range connectionSeeds() {
		f.Add([]byte(s))
	}
	pair := newTwins(f)
	f.Fuzz(func(t *testing.T, sent []byte) { pair.compare(t, sent) })
}

// TestConnectionSeeds checks that the fuzzing starts from requests that are served past net/http,
// from such that are not, and from connections with both.
func TestConnectionSeeds(t *testing.T) {
	if !canPeek {
		t.Skip("this system cannot peek at connections")
	}
	pair := newTwins(t)
	var past, left, both int
	for _, s := range connectionSeeds() {
		p, l := pair.past.Load(), pair.left.Load()
		pair.compare(t, []byte(s))
		p, l = pair.past.Load()-p, pair.left.Load()-l
		switch {
		case p > 0 && l > 0:
			both++
		case p > 0:
			past++
		default:
			left++
		}
	}
	if past < 40 || left < 40 || both < 40 {
		t.Errorf("of the seeds %d are served past net/http, %d by it, %d by both; want 40 of each", past, left, both)
	}
}

// twins are a Server and a bare http.Server with the same handler.
type twins struct {
	fast, bare string // their addresses
	past, left atomic.Int64
}

func newTwins(tb testing.TB) *twins {
	pair := &twins{}
	const timeout = time.Minute
	make := func() *http.Server {
		return &http.Server{
			ReadHeaderTimeout: timeout, IdleTimeout: timeout, MaxHeaderBytes: 16 << 10,
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		}
	}
	bare := make()
	bare.Handler = http.HandlerFunc(mirror)
	l := listen(tb)
	pair.bare = l.Addr().String()
	go bare.Serve(l)
	tb.Cleanup(func() { bare.Close() })
	fast := make()
	fast.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, byNetHTTP{}, true)
	}
	fast.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(byNetHTTP{}) == nil {
			pair.past.Add(1)
		} else {
			pair.left.Add(1)
		}
		mirror(w, r)
	})
	server := New(fast, Options{PollPath: "/socket.io/", Logger: slog.New(slog.DiscardHandler)})
	l = listen(tb)
	pair.fast = l.Addr().String()
	go server.Serve(l)
	tb.Cleanup(func() { server.Close() })
	return pair
}

// mirror answers with all of the request, in one of several ways.
func mirror(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var seen bytes.Buffer
	fmt.Fprintf(&seen, "%q %q %q %q %+v\n", r.Method, r.RequestURI, r.Host, r.Proto, *r.URL)
	fmt.Fprintf(&seen, "%d %q %v %q\n", r.ContentLength, r.TransferEncoding, r.Close, r.Trailer)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&seen, "%q %q\n", name, r.Header[name])
	}
	fmt.Fprintf(&seen, "%q %v", body, err)
	h := w.Header()
	if r.Header["Upgrade"] != nil {
		h.Set("Connection", "close") // a handshake that is refused is a connection's last
	}
	switch {
	case strings.Contains(r.URL.RawQuery, "as=refusal"):
		h.Set("Content-Type", "application/json")
		h.Set("X-Lines", " a\r\nb ")
		h.Add("Set-Cookie", "a=b")
		h.Add("Set-Cookie", "c=d")
		w.WriteHeader(http.StatusTeapot)
		h.Set("X-Late", "no part of the answer")
		w.Write(seen.Bytes()[:min(seen.Len(), 2000)]) // of more net/http makes chunks
		return
	case strings.Contains(r.URL.RawQuery, "as=nothing"):
		w.WriteHeader(http.StatusNoContent)
		return
	case strings.Contains(r.URL.RawQuery, "as=last"):
		h.Set("Connection", "close")
	case strings.Contains(r.URL.RawQuery, "as=short"):
		w.Write([]byte("ok"))
		return
	case strings.Contains(r.URL.RawQuery, "as=silence"):
		return
	}
	h.Set("Content-Length", strconv.Itoa(seen.Len()))
	w.Write(seen.Bytes())
	http.NewResponseController(w).Flush()
}

// compare checks that both answer the same.
func (p *twins) compare(t *testing.T, sent []byte) {
	t.Helper()
	got, want := converse(t, p.fast, sent), converse(t, p.bare, sent)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("sent %q\nanswer %d is\n%s\nnot\n%s", sent, i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("sent %q\ngot %d answers, not %d", sent, len(got), len(want))
	}
}

// converse sends bytes and an end, and returns the answers, and what comes after them.
func converse(t *testing.T, at string, sent []byte) (answers []string) {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go func() { // the server may answer before it has read all
		c.Write(sent)
		c.(*net.TCPConn).CloseWrite()
	}()
	all, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) { // it closes a connection with something unread
		t.Fatalf("sent %q: %v after %q", sent, err, all)
	}
	r := bufio.NewReader(bytes.NewReader(all))
	for {
		rest, _ := r.Peek(r.Size())
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return append(answers, string(rest))
		}
		body, err := io.ReadAll(answer.Body)
		if answer.Header.Get("Date") != "" {
			answer.Header.Set("Date", "some")
		}
		answers = append(answers, fmt.Sprintf("%s close=%v %v %v %q %q %v", answer.Status, answer.Close, answer.Header, answer.ContentLength, answer.TransferEncoding, body, err))
	}
}

// aPoll is a poll with these fields, aPost a POST with this body.
func aPoll(fields ...string) string {
	return "GET /socket.io/?EIO=4&transport=polling&sid=a HTTP/1.1\r\nHost: here\r\n" + strings.Join(fields, "") + "\r\n"
}

func aPost(body string, fields ...string) string {
	return "POST /socket.io/?EIO=4&transport=polling&sid=a HTTP/1.1\r\nHost: here\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n" + strings.Join(fields, "") + "\r\n" + body
}

// connectionSeeds are polls, what differs from them in one point, and both after each other.
func connectionSeeds() []string {
	get, send := aPoll(), aPost("4hello")
	odd := []string{
		aPoll("Connection: keep-alive\r\n"), aPoll("Connection: Keep-Alive\r\n"), aPoll("Connection: keep-alive, x\r\n"), aPoll("Connection: x\r\n"), aPoll("Connection:\r\n"),
		aPoll("Connection: close\r\n"), aPoll("Connection: keep-alive\r\nConnection: close\r\n"), aPoll("Connection: upgrade\r\nUpgrade: h2c\r\n"), aPoll("Upgrade: websocket\r\n"),
		aPoll("Expect: 100-continue\r\n"), aPoll("Expect:\r\n"), aPoll("Expect: x\r\n"), aPoll("Content-Length: 0\r\n"), aPoll("Content-Length: 3\r\n") + "abc", aPoll("Content-Length: x\r\n"),
		aPoll("Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n", aPoll("Trailer: X\r\n"), aPoll("Cookie: a=b\r\nAccept-Encoding: gzip\r\n"), aPoll("X: " + strings.Repeat("x", maxRequest) + "\r\n"),
		aPoll("a b: c\r\n"), aPoll("a: \x01\r\n"), aPoll("a: \xff\r\n"), aPoll("a\r\n"), aPoll("a: b\r\n c\r\n"), aPoll("X: a\nContent-Length: 5\r\n"), aPoll("X: a\n\nGET / HTTP/1.1\r\n"),
		aPost("", "X: y\r\n"), aPost("4a", "Content-Type: text/plain\r\n"), aPost("4a", "Expect: 100-continue\r\n"), aPost("4a", "Connection: close\r\n"), aPost("4a", "Transfer-Encoding: chunked\r\n"),
		aPost("4a", "Content-Length: 2\r\n"), aPost("4a", "Content-Length: 3\r\n"), aPost("4a", "content-length: 2\r\n"), aPost(strings.Repeat("4", maxRequest-200)), aPost(strings.Repeat("4", maxRequest)),
		aPost("4a\r\n"), aPost("GET / HTTP/1.1\r\nHost: here\r\n\r\n"), strings.Replace(send, "Content-Length: 6", "Content-Length: +6", 1), strings.Replace(send, "Content-Length: 6", "Content-Length: 6, 6", 1),
		strings.Replace(send, "Content-Length: 6", "Content-Length : 6", 1), strings.Replace(send, "Content-Length: 6", "Content-Length: 06", 1), strings.Replace(send, "Content-Length: 6", "Content-Length:\t6 ", 1),
		strings.Replace(send, "Content-Length: 6", "X: y", 1), strings.Replace(send, "Content-Length: 6", "Content-Length: -6", 1), strings.Replace(send, "Content-Length: 6", "Content-Length: 99999999999999999999", 1),
		strings.Replace(send, "Content-Length: 6\r\n", "Transfer-Encoding: chunked\r\n", 1), strings.Replace(send, "Content-Length: 6", "Content-Length: 60", 1), strings.Replace(send, "Content-Length: 6", "Content-Length: 4", 1),
		"POST /socket.io/?transport=polling HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n4hello\r\n0\r\n\r\n", "POST /socket.io/?transport=polling HTTP/1.1\r\nHost: here\r\nContent-Length: 6\n\r\n4hello",
		"\r\n" + get, "\r\n\r\n" + send, "\r\n\r\n\r\n" + get, "\n" + get, "\r", "\r\n", "GE", "GET /socket.io/?transport=polling", "GET /socket.io/?transport=polling HTTP/1.1\r\n", get[:len(get)-2], send[:len(send)-1],
		strings.ReplaceAll(get, "\r\n", "\n"), strings.Replace(get, "\r\nHost", "\nHost", 1), strings.Replace(get, "\r\n\r\n", "\r\n\n", 1), strings.Replace(get, "\r\n\r\n", "\n\r\n", 1),
		handshake("/socket.io/?transport=polling"), handshake("/socket.io/?transport=websocket"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	}
	for _, from := range []string{"HEAD", "OPTIONS", "PUT", "DELETE", "get", "POST"} {
		odd = append(odd, strings.Replace(get, "GET", from, 1))
	}
	for _, version := range []string{"HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "HTTP/1.1 ", ""} {
		odd = append(odd, strings.Replace(get, "HTTP/1.1", version, 1))
	}
	for _, host := range []string{"", "Host:\r\n", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host : a\r\n", "Host: [::1]:80\r\n", "X: y\r\n Host: a\r\n"} {
		odd = append(odd, strings.Replace(get, "Host: here\r\n", host, 1))
	}
	for _, target := range []string{
		"/socket.io/?transport=polling#f", "/socket.io/?xtransport=pollings", "/socket.io/?transport=%70olling", "/socket.io?transport=polling", "/socket.io/x?transport=polling", "//socket.io/?transport=polling",
		"http://other/socket.io/?transport=polling", "/socket.io/?transport=polling&a=%zz", "/socket.io/?transport=polling&a=\x00", "/socket.io/?transport=polling &b", "/socket.io/?transport=polling;ü", "/", "*",
	} {
		odd = append(odd, strings.Replace(get, "/socket.io/?EIO=4&transport=polling&sid=a", target, 1))
	}
	for _, as := range []string{"refusal", "nothing", "last", "short", "silence"} {
		odd = append(odd, strings.Replace(get, "sid=a", "as="+as, 1), strings.Replace(send, "sid=a", "as="+as, 1))
	}
	seeds := []string{"", get, send, get + get + get, send + send + get, send + "\r\n" + get, send + "\r\n\r\n" + get, send + "\r\n\r\n\r\n" + get, send + "\r\r\r\rGET", get + "\r\n" + get, send + "\r", send + "\r\n\n"}
	for _, x := range odd {
		seeds = append(seeds, x, get+x, send+x, x+get, get+x+send+get)
	}
	return seeds
}
