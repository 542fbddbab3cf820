package fastpath

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzTake gives the same bytes to take and to an http.Server. What take takes,
// the server must have given to its handler: the same request, ended at the same
// byte.
func FuzzTake(f *testing.F) {
	for _, s := range requestSeeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		b := buffers.Get().(*buffer)
		defer b.release()
		b.peeked = copy(b.head[:], sent)
		b.parse("")
		got := b.request
		if got == nil {
			return
		}
		got.RemoteAddr = memoryAddr{}.String()
		want := serveOnce(sent)
		if want.request == nil {
			t.Fatalf("took %q, which net/http answers itself: %q", sent, want.answer)
		}
		if rest := sent[b.length:]; !bytes.Equal(rest, want.rest) {
			t.Errorf("%q: left %q, net/http %q", sent, rest, want.rest)
		}
		if got, want := comparable(got), comparable(want.request); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", sent, got, want)
		}
	})
}

// comparable is a copy of r without what no handler can see.
func comparable(r *http.Request) *http.Request {
	return &http.Request{
		Method: r.Method, URL: r.URL, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		Header: r.Header, Body: r.Body, ContentLength: r.ContentLength, TransferEncoding: r.TransferEncoding,
		Close: r.Close, Host: r.Host, Trailer: r.Trailer, RemoteAddr: r.RemoteAddr, RequestURI: r.RequestURI, TLS: r.TLS,
	}
}

// TestRequestSeeds checks that the fuzzing starts from both kinds of requests.
func TestRequestSeeds(t *testing.T) {
	taken, left := 0, 0
	for _, s := range requestSeeds() {
		b := buffers.Get().(*buffer)
		b.peeked = copy(b.head[:], s)
		if b.parse(""); b.request != nil {
			taken++
		} else {
			left++
		}
		b.release()
	}
	if taken < 10 || left < 20 {
		t.Errorf("of the seeds %d are taken and %d are left, want at least 10 and 20", taken, left)
	}
}

// requestSeeds are handshakes, and what differs from one in a single point.
func requestSeeds() []string {
	whole := handshake("/socket.io/?EIO=4&transport=websocket")
	replace := func(from, to string) string { return strings.Replace(whole, from, to, 1) }
	seeds := []string{
		whole,
		whole + "\x81\x82\x00\x00\x00\x0040", // a frame behind it
		whole + "GET / HTTP/1.1\r\nHost: b\r\n\r\n", // a second request
		whole + whole,
		whole[:len(whole)-2], whole[:len(whole)/2],
		strings.ReplaceAll(whole, "\r\n", "\n"),
		strings.ReplaceAll(whole, "\r\n", "\n") + whole,
		replace("\r\n\r\n", "\r\n\n") + whole, replace("\r\n\r\n", "\n\r\n") + whole,
		"\r\n" + whole, "\n" + whole, " " + whole,
		replace("Host: here\r\n", "Host: here\n\nX: y\r\n"),
		replace("Host: here\r\n", "Host: here\nX: y\r\n"),
		replace("Host: here\r\n", "Host: here\r\r\n"),
	}
	for _, target := range []string{
		"http://other/x", "http://here/", "http://", "//other/x", "*", "", "x", "/%zz", "/%41%2f", "/a b", "/\x00", "/\x7f", "/ü", "/?a=%zz;b",
		"/#f", "/..//.", "/:80", "ws://here/", "/" + strings.Repeat("a", 3000), "/?" + strings.Repeat("a", maxRequest),
	} {
		seeds = append(seeds, handshake(target))
	}
	for _, method := range []string{"POST", "HEAD", "CONNECT", "OPTIONS", "get", "PRI", "G\x00T", "GET "} {
		seeds = append(seeds, replace("GET", method))
	}
	for _, version := range []string{"HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.1 ", "http/1.1", "HTTP/1,1", "HTTP/01.1", ""} {
		seeds = append(seeds, replace("HTTP/1.1", version))
	}
	for _, host := range []string{
		"", "Host:\r\n", "Host: a\r\nHost: b\r\n", "host: a\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: ü\r\n", "Host: [::1]:80\r\n",
		"Host: a\x00\r\n", "Host: %41\r\n", "Host : a\r\n", " Host: a\r\n", "Host:\ta \r\n", "Host: a,b\r\n", "X: y\r\n Host: a\r\n",
	} {
		seeds = append(seeds, replace("Host: here\r\n", host), "GET http://here/ HTTP/1.1\r\n"+host+"Upgrade: websocket\r\n\r\n")
	}
	for _, fields := range []string{
		"Upgrade: websocket, h2c", "Upgrade: h2c\r\nUpgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c", "Upgrade: WebSocket", "Upgrade:\twebsocket ",
		"Upgrade : websocket", "Upgrade\r\n : websocket", "X: y\r\n Upgrade: websocket", "Upgrade: web\r\n socket", "Upgrade: websocket\r\n more", "Upgrade: \vwebsocket",
	} {
		seeds = append(seeds, replace("Upgrade: websocket", fields))
	}
	for _, field := range []string{
		"Content-Length: 0", "Content-Length: 3", "Content-Length: -1", "Content-Length: +0", "Content-Length: 0\r\nContent-Length: 0", "Content-Length: 0\r\nContent-Length: 1",
		"Content-Length: 0, 0", "Content-Length:", "Content-Length: x", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "Transfer-Encoding:",
		"Transfer-Encoding: chunked\r\nContent-Length: 3", "Transfer-Encoding: gzip, chunked", "Trailer: X", "Trailer: Content-Length", "TE: trailers",
		"Expect: 100-continue", "Expect:", "Expect:\r\nExpect: x", "Connection: close", "Connection: keep-alive, Upgrade", "Connection: upgrade, close, ,", "Connection:",
		"Keep-Alive: x", "Proxy-Connection: close", "Pragma: no-cache", "Cookie: a=b", "Cookie: a=b\r\nCookie: c=d", "Cookie: a=b\r\n\tc=d", "X: y\r\n z", "x-lower: y",
		"X Y: z", "X\x00: z", "X: \x00", "X: \x7f", "X: \xff", "X: a\rb", "X: a\nb", ": x", "X", "X:", "é: x", "X:y:z", "HTTP2-Settings: AAA", "X-Forwarded-For: a",
	} {
		seeds = append(seeds, handshake("/", field+"\r\n"), handshake("/", field+"\r\n")+"3\r\nabc\r\n0\r\n\r\n")
	}
	return seeds
}

// served is what an http.Server made of some bytes.
type served struct {
	request *http.Request // nil: it answered without its handler
	rest    []byte        // sent, but no part of the request
	answer  []byte        // of the server itself
}

// serveOnce gives the bytes to an http.Server, which sees them end.
func serveOnce(sent []byte) (s served) {
	c := &memoryConn{unread: sent}
	l := &oneConn{conn: c, ended: make(chan struct{})}
	server := &http.Server{
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(l.ended)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return // the server ends the connection
			}
			s.request = r
			s.rest, _ = io.ReadAll(rw.Reader)
			close(l.ended)
		}),
	}
	_ = server.Serve(l)
	s.answer = c.written.Bytes()
	return s
}

// oneConn is a listener with a single connection, which ends with it.
type oneConn struct {
	conn  net.Conn
	ended chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.ended
	return nil, io.EOF
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return memoryAddr{} }

// memoryConn is a connection whose peer has sent all it will.
type memoryConn struct {
	unread  []byte
	written bytes.Buffer
}

func (c *memoryConn) Read(b []byte) (int, error) {
	if len(c.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *memoryConn) Write(b []byte) (int, error)    { return c.written.Write(b) }
func (*memoryConn) Close() error                     { return nil }
func (*memoryConn) LocalAddr() net.Addr              { return memoryAddr{} }
func (*memoryConn) RemoteAddr() net.Addr             { return memoryAddr{} }
func (*memoryConn) SetDeadline(time.Time) error      { return nil }
func (*memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (*memoryConn) SetWriteDeadline(time.Time) error { return nil }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "192.0.2.1:80" }
