package engineio

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// pipeStream is a wtStream in the process.
type pipeStream struct{ net.Conn }

func (p pipeStream) closeSession() { p.Conn.Close() }

// wtClient is the client's side of a stream.
type wtClient struct {
	t testing.TB
	wtStream
	r *bufio.Reader
}

func newWTClient(t testing.TB, s wtStream) *wtClient { return &wtClient{t, s, bufio.NewReader(s)} }

func (c *wtClient) say(text string) {
	c.t.Helper()
	if _, err := c.Write(appendStreamFrame(nil, frame(wsconn.OpText, nil, []byte(text)))); err != nil {
		c.t.Fatalf("write %q: %v", text, err)
	}
}

func (c *wtClient) next() string {
	c.t.Helper()
	p, err := readStreamFrame(c.r, 1<<30)
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if p.binary {
		return "binary:" + string(p.data)
	}
	return string(p.kind) + string(p.data)
}

// ended reads until the stream ends.
func (c *wtClient) ended() (rest []string) {
	for {
		p, err := readStreamFrame(c.r, 1<<30)
		if err != nil {
			c.closeSession()
			return rest
		}
		rest = append(rest, string(p.kind)+string(p.data))
	}
}

// stream opens a stream to the server, as after a WebTransport handshake with
// this query's sid.
func (w *world) stream(sid string) *wtClient {
	return w.streamBy(sid, func(c pipeStream) wtStream { return c })
}

// streamBy is stream over what serve makes of the server's end.
func (w *world) streamBy(sid string, serve func(pipeStream) wtStream) *wtClient {
	return w.streamOf("", sid, serve)
}

// streamFrom is stream of a client with this address.
func (w *world) streamFrom(from, sid string) *wtClient {
	return w.streamOf(from, sid, func(c pipeStream) wtStream { return c })
}

func (w *world) streamOf(from, sid string, serve func(pipeStream) wtStream) *wtClient {
	client, server := net.Pipe()
	wt := &WebTransport{srv: w.server}
	r, err := http.NewRequest("CONNECT", "https://server/socket.io/?EIO=4&transport=webtransport", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.RemoteAddr = from
	go wt.greet(r, serve(pipeStream{server}), sid, netip.Addr{})
	return newWTClient(w.t, pipeStream{client})
}

func TestWebTransportBothWays(t *testing.T) {
	inBubble(t, Options{WebTransport: true}, func(w *world) {
		c := w.stream("")
		c.say("0")
		if open := c.next(); !strings.HasPrefix(open, `0{"sid":`) || !strings.Contains(open, `"upgrades":[]`) {
			t.Errorf("open packet %q", open)
		}
		h := w.last()
		c.say("4hello")
		c.Write(appendStreamFrame(nil, Binary([]byte{1, 2, 3})))
		for _, n := range []int{0, 124, 125, 126, 65534, 65535, 200_000} {
			h.session.Send(Text(make([]byte, n)), Binary(make([]byte, max(n, 1))))
			expect(t, "text", len(c.next()), n+1)
			expect(t, "binary", len(c.next()), max(n, 1)+len("binary:"))
		}
		synctest.Wait()
		expect(t, "received", strings.Join(h.messages(), "|"), "text:hello|binary:\x01\x02\x03")
		expect(t, "transport", h.session.Transport(), "webtransport")
		expect(t, "ping", c.next(), "2")
		c.say("3")
		expect(t, "another ping", c.next(), "2")
		synctest.Wait()
		expect(t, "counted", w.server.Sessions()[transportWebTransport], 1)
		c.ended()
		synctest.Wait()
		expect(t, "reason", h.closedWith(), ReasonPingTimeout)
	})
}

func TestWebTransportEnds(t *testing.T) {
	tests := []struct {
		name   string
		do     func(*wtClient, *heard)
		reason Reason
	}{
		{"goes away", func(c *wtClient, _ *heard) { c.closeSession() }, ReasonTransportClose},
		{"close packet", func(c *wtClient, _ *heard) { c.say("1") }, ReasonTransportClose},
		{"client pings", func(c *wtClient, _ *heard) { c.say("2") }, ReasonTransportError},
		{"length zero", func(c *wtClient, _ *heard) { c.Write([]byte{0}) }, ReasonParseError},
		{"unknown packet", func(c *wtClient, _ *heard) { c.say("x") }, ReasonParseError},
		{"not UTF-8", func(c *wtClient, _ *heard) { c.say("4\xff") }, ReasonParseError},
		{"too long", func(c *wtClient, _ *heard) { c.Write([]byte{126, 0x40, 0}) }, ReasonParseError},
		{"endless", func(c *wtClient, _ *heard) { c.Write([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) }, ReasonParseError},
		{"ends inside a packet", func(c *wtClient, _ *heard) { c.Write([]byte{9, '4'}); c.closeSession() }, ReasonTransportError},
		{"server closes", func(_ *wtClient, h *heard) {
			h.session.Send(Text([]byte("last")))
			h.session.Close(ReasonForcedServer)
		}, ReasonForcedServer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{MaxPayload: 1000}, func(w *world) {
				c := w.stream("")
				c.say("0")
				c.next()
				h := w.last()
				go tt.do(c, h)
				rest := c.ended()
				synctest.Wait()
				expect(t, "reason", h.closedWith(), tt.reason)
				if tt.reason == ReasonForcedServer {
					expect(t, "what came before the end", strings.Join(rest, "|"), "4last|1")
				}
				expect(t, "sessions", len(w.server.all()), 0)
			})
		})
	}
}

func TestWebTransportUpgrade(t *testing.T) {
	inBubble(t, Options{WebTransport: true}, func(w *world) {
		if r := w.do("GET", fresh, ""); !strings.Contains(r.body, `"upgrades":["websocket","webtransport"]`) {
			t.Errorf("open packet %s", r.body)
		}
		q, h := w.open()
		p := w.poll(q)
		synctest.Wait()
		c := w.stream("")
		c.say(`0{"sid":"` + h.session.id + `"}`)
		c.say("2probe")
		expect(t, "probe", c.next(), "3probe")
		expect(t, "pending poll", (<-p).body, "6")
		h.session.Send(Text([]byte("queued")))
		c.say("5")
		expect(t, "over the stream", c.next(), "4queued")
		expect(t, "transport", h.session.Transport(), "webtransport")
		expect(t, "polling afterwards", w.do("GET", q, "").body, `{"code":3,"message":"Bad request"}`)
		second := w.stream("")
		second.say(`0{"sid":"` + h.session.id + `"}`)
		expect(t, "packets for a second upgrade", len(second.ended()), 0)
		expect(t, "reason", h.closedWith(), "")
		c.closeSession()
	})
}

// Whatever a stream says first that makes no sense ends it, and nothing else.
func TestWebTransportRefused(t *testing.T) {
	for name, hello := range map[string]string{
		"message": "4hello", "no JSON": "0{", "unknown sid": `0{"sid":"nope"}`, "unknown type": "x", "another sid than the request's": "mismatch",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				q, h := w.open()
				sid := ""
				if hello == "mismatch" {
					sid, hello = "another", `0{"sid":"`+h.session.id+`"}`
				}
				c := w.stream(sid)
				c.say(hello)
				expect(t, "packets", len(c.ended()), 0)
				h.session.Send(Text(nil))
				expect(t, "poll", w.do("GET", q, "").body, "4")
				expect(t, "sessions", len(w.server.all()), 1)
			})
		})
	}
	t.Run("silence", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			start := time.Now()
			expect(t, "packets", len(w.stream("").ended()), 0)
			expect(t, "ended after", time.Since(start), DefaultUpgradeTimeout)
		})
	})
	t.Run("full", func(t *testing.T) {
		inBubble(t, Options{Limits: Limits{Sessions: 1}}, func(w *world) {
			w.open()
			c := w.stream("")
			c.say("0")
			expect(t, "packets", len(c.ended()), 0)
		})
	})
	t.Run("silence after the probe", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			q, h := w.open()
			c := w.stream("")
			c.say(`0{"sid":"` + h.session.id + `"}`)
			c.say("2probe")
			c.next()
			c.ended()
			synctest.Wait()
			h.session.Send(Text(nil))
			expect(t, "poll", w.do("GET", q, "").body, "4")
		})
	})
}

// halfClosed is a stream whose reader stays when its writer has closed it, as with
// QUIC.
type halfClosed struct{ pipeStream }

func (halfClosed) Close() error { return nil }

// A stock client does not react to the end of the stream, only to that of the
// whole: it is not left waiting for it.
func TestWebTransportLingers(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.streamBy("", func(s pipeStream) wtStream { return halfClosed{s} })
		c.say("0")
		c.next()
		start := time.Now()
		w.last().session.Close(ReasonForcedServer)
		expect(t, "before the end", strings.Join(c.ended(), "|"), "1")
		expect(t, "hung up after", time.Since(start), lingerWait)
	})
}

func TestShutdownWebTransport(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.stream("")
		c.say("0")
		c.next()
		h := w.last()
		go c.ended()
		if err := w.server.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		expect(t, "reason", h.closedWith(), ReasonShutdown)
	})
}

// certificate returns a certificate for 127.0.0.1 and who trusts it.
func certificate(t *testing.T) (server *tls.Config, client *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	client = x509.NewCertPool()
	client.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, client
}

// All of it over real UDP.
func TestWebTransportOverUDP(t *testing.T) {
	origins, err := ParseOrigins([]string{"https://app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Options{WebTransport: true, Origins: origins})
	defer w.end()
	serverTLS, pool := certificate(t)
	wt := NewWebTransport(w.server, "/socket.io/", serverTLS)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- wt.Serve(udp) }()
	defer func() {
		wt.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		udp.Close()
	}()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	dialer := webtransport.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool},
		QUICConfig:      &quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true},
	}
	defer dialer.Close()
	dial := func(query, origin string) (int, *webtransport.Session) {
		t.Helper()
		url := fmt.Sprintf("https://%s/socket.io/?%s", udp.LocalAddr(), query)
		res, session, err := dialer.Dial(ctx, url, http.Header{"Origin": {origin}})
		if res == nil {
			t.Fatalf("dial %s: %v", query, err)
		}
		return res.StatusCode, session
	}
	const app, freshWT = "https://app.example.com", "EIO=4&transport=webtransport"
	for _, tt := range []struct {
		name, query, origin string
		status              int
	}{
		{"foreign origin", freshWT, "https://evil.example", 403},
		{"unknown sid", freshWT + "&sid=nope", app, 400},
		{"old protocol", "EIO=3&transport=webtransport", app, 400},
		{"another transport", "EIO=4&transport=polling", app, 400},
		{"all of it said", freshWT, app, 200},
	} {
		status, _ := dial(tt.query, tt.origin)
		expect(t, tt.name, status, tt.status)
	}

	open := func() *wtClient {
		t.Helper()
		status, session := dial("", app) // the stock client leaves its query out
		expect(t, "status", status, 200)
		stream, err := session.OpenStreamSync(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return newWTClient(t, wtSession{stream, session})
	}
	c := open()
	c.say("0")
	if got := c.next(); !strings.HasPrefix(got, `0{"sid":`) {
		t.Fatalf("open packet %q", got)
	}
	h := w.last()
	big := bytes.Repeat([]byte("0123456789"), 90_000)
	h.session.Send(Text([]byte("one")), Binary(big))
	expect(t, "text", c.next(), "4one")
	expect(t, "binary", c.next(), "binary:"+string(big))
	h.session.Send(Text([]byte("last")))
	h.session.Close(ReasonForcedServer)
	expect(t, "before the end", strings.Join(c.ended(), "|"), "4last|1")

	_, polling := w.open()
	c = open()
	c.say(`0{"sid":"` + polling.session.id + `"}`)
	c.say("2probe")
	expect(t, "probe", c.next(), "3probe")
	c.say("5")
	polling.session.Send(Text([]byte("taken over")))
	expect(t, "after the upgrade", c.next(), "4taken over")
	c.closeSession()
	<-polling.session.Done()
}

// A QUIC connection without a WebTransport session is ended, also if its peer keeps it alive, and
// one with a session is not.
func TestQUICWithoutSession(t *testing.T) {
	w := newWorld(t, Options{WebTransport: true, UpgradeTimeout: 2 * time.Second})
	defer w.end()
	serverTLS, pool := certificate(t)
	wt := NewWebTransport(w.server, "/socket.io/", serverTLS)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	served := make(chan error, 1)
	go func() { served <- wt.Serve(udp) }()
	defer func() {
		wt.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	alive := quic.Config{EnableDatagrams: true, EnableStreamResetPartialDelivery: true, KeepAlivePeriod: 100 * time.Millisecond}
	dialer := webtransport.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, QUICConfig: &alive}
	defer dialer.Close()
	_, session, err := dialer.Dial(ctx, fmt.Sprintf("https://%s/socket.io/", udp.LocalAddr()), nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := session.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := newWTClient(t, wtSession{stream, session})
	c.say("0")
	c.next()
	h := w.last()

	h3 := &tls.Config{RootCAs: pool, NextProtos: []string{http3.NextProtoH3}}
	dial := func(q quic.Config) <-chan struct{} {
		t.Helper()
		conn, err := quic.DialAddr(ctx, udp.LocalAddr().String(), h3, &q)
		var early *quic.TransportError
		var late *quic.ApplicationError
		switch {
		case errors.As(err, &early) && early.ErrorCode == quic.ApplicationErrorErrorCode, errors.As(err, &late): // ended while it began
			ended := make(chan struct{})
			close(ended)
			return ended
		case err != nil:
			t.Fatal(err)
		}
		return conn.Context().Done()
	}
	noStreams := alive
	noStreams.MaxIncomingUniStreams = -1
	half, err := quic.DialAddr(ctx, udp.LocalAddr().String(), h3, &alive)
	if err != nil {
		t.Fatal(err)
	}
	request, err := half.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := request.Write([]byte{1, 100}); err != nil { // headers of 100 bytes, that do not come
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		ended <-chan struct{}
	}{
		{"silent", dial(alive)},
		{"half of a request", half.Context().Done()},
		{"allows the server no stream", dial(noStreams)},
	} {
		select {
		case <-tt.ended:
		case <-ctx.Done():
			t.Errorf("%s: the connection is not ended", tt.name)
		}
	}
	h.session.Send(Text([]byte("still here")))
	expect(t, "of the other", c.next(), "4still here")
	c.closeSession()
	<-h.session.Done()
}
