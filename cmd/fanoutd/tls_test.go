package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/quic-go/quic-go"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

// dialControlTLS connects as somebody who trusts these authorities alone.
func dialControlTLS(t *testing.T, address string, trusts *x509.CertPool) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: trusts})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func serverInfo(t *testing.T, conn *grpc.ClientConn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := fanoutv1.NewAdminServiceClient(conn).GetServerInfo(ctx, &fanoutv1.GetServerInfoRequest{})
	return err
}

// shown returns the name of the certificate that a new connection is shown.
func shown(t *testing.T, address string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// awaitShown waits until new connections are shown this certificate.
func awaitShown(t *testing.T, address, name string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); shown(t, address) != name; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the certificate stays %q, want %q", shown(t, address), name)
		}
	}
}

// Backends connect by TLS. When the certificate is replaced, those that are connected stay.
func TestControlTLS(t *testing.T) {
	before, after := certtest.New(t, "before"), certtest.New(t, "after")
	dir := t.TempDir()
	cert, key := before.Issue(t, "one").Write(t, dir)
	d := start(t, "--control-tls-cert-file="+cert, "--control-tls-key-file="+key)
	old := dialControlTLS(t, d.at["backends"], before.Pool())
	if err := serverInfo(t, old); err != nil {
		t.Fatal(err)
	}
	if err := serverInfo(t, dialControl(t, d.at["backends"])); err == nil {
		t.Error("a call in plain text is answered")
	}

	after.Issue(t, "two").Write(t, dir)
	awaitShown(t, d.at["backends"], "two")
	if err := serverInfo(t, old); err != nil {
		t.Errorf("who was connected: %v", err)
	}
	if err := serverInfo(t, dialControlTLS(t, d.at["backends"], before.Pool())); err == nil {
		t.Error("who trusts the old authority alone connects still")
	}
	if err := serverInfo(t, dialControlTLS(t, d.at["backends"], after.Pool())); err != nil {
		t.Errorf("who trusts the new authority: %v", err)
	}
}

// A backend's certificate has to be of an authority that is trusted now.
func TestControlClientCA(t *testing.T) {
	servers, before, after := certtest.New(t, "servers"), certtest.New(t, "before"), certtest.New(t, "after")
	dir := t.TempDir()
	cert, key := servers.Issue(t, "server").Write(t, dir)
	ca := certtest.Write(t, dir, "ca.pem", before.PEM())
	d := start(t, "--control-tls-cert-file="+cert, "--control-tls-key-file="+key, "--control-client-ca-file="+ca)
	show := func(a *certtest.Authority) error {
		pair := a.Issue(t, "chat").TLS(t)
		conn, err := grpc.NewClient("passthrough:///"+d.at["backends"], grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			RootCAs:              servers.Pool(),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
		})))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return serverInfo(t, conn)
	}
	if err := show(before); err != nil {
		t.Error(err)
	}
	if err := show(after); err == nil {
		t.Error("a certificate of an authority that is not trusted is taken")
	}
	certtest.Write(t, dir, "ca.pem", after.PEM())
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); show(after) != nil; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the new authority is not trusted")
		}
	}
	if err := show(before); err == nil {
		t.Error("a certificate of the authority before is taken still")
	}
}

// browserTLS is a daemon whose browsers connect by TLS, and a client that trusts it.
func browserTLS(t *testing.T, args ...string) (*running, *http.Client, *tls.Config) {
	t.Helper()
	authority := certtest.New(t, "authority")
	cert, key := authority.Issue(t, "localhost").Write(t, t.TempDir())
	d := start(t, append(args, "--tls-cert-file="+cert, "--tls-key-file="+key)...)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return d, &http.Client{Transport: transport, Timeout: patience}, &tls.Config{RootCAs: authority.Pool()}
}

// exchange makes one request and returns its answer and its protocol.
func exchange(t *testing.T, c *http.Client, method, url, body string, headers ...string) (status int, text, proto string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Proto
}

// A session polls over HTTP/2, also for longer than a request usually lasts.
func TestPollingOverHTTP2(t *testing.T) {
	d, client, _ := browserTLS(t, "--ping-interval=1s", "--ping-timeout=1s")
	session := "https://" + d.at["browsers"] + "/socket.io/?EIO=4&transport=polling"
	status, text, proto := exchange(t, client, "GET", session, "")
	if status != 200 || !strings.HasPrefix(text, `0{"sid":"`) || proto != "HTTP/2.0" {
		t.Fatalf("%d %q by %s", status, text, proto)
	}
	sid, _, _ := strings.Cut(strings.TrimPrefix(text, `0{"sid":"`), `"`)
	session += "&sid=" + sid
	post := func(body string) {
		t.Helper()
		if status, text, _ := exchange(t, client, "POST", session, body); status != 200 || text != "ok" {
			t.Fatalf("POST of %s: %d %q", body, status, text)
		}
	}
	post("40")
	if status, text, _ := exchange(t, client, "GET", session, ""); status != 200 || !strings.HasPrefix(text, `40{"sid":"`) {
		t.Fatalf("CONNECT is answered %d %q", status, text)
	}
	for range 3 { // the answer waits for a ping each time
		if status, text, proto := exchange(t, client, "GET", session, ""); status != 200 || text != "2" || proto != "HTTP/2.0" {
			t.Fatalf("a poll is answered %d %q by %s, want a ping", status, text, proto)
		}
		post("3")
	}
}

// WebSockets stay with HTTP/1.1, and a page's own origin is an https one.
func TestWebSocketByTLS(t *testing.T) {
	d, client, trust := browserTLS(t)
	address := d.at["browsers"]
	dialer := websocket.Dialer{TLSClientConfig: trust}
	dial := func(origin string) (*websocket.Conn, error) {
		conn, resp, err := dialer.Dial("wss://"+address+"/socket.io/?EIO=4&transport=websocket", http.Header{"Origin": {origin}})
		if resp != nil {
			resp.Body.Close()
		}
		return conn, err
	}
	conn, err := dial("https://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := browser{conn}
	b.read(t, "0{")
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		t.Fatal(err)
	}
	b.read(t, `40{"sid":"`)
	list, err := fanoutv1.NewRegistryServiceClient(dialControl(t, d.at["backends"])).ListConnections(t.Context(),
		&fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{All: true}, View: fanoutv1.Connection_FULL})
	if err != nil || len(list.Connections) != 1 || !list.Connections[0].Handshake.Secure {
		t.Errorf("connections %v, %v, want one that is secure", list, err)
	}
	if _, err := dial("http://" + address); err == nil {
		t.Error("a plain http page is taken for one of the same origin")
	}
	// What a client over HTTP/2 would need for a WebSocket there, RFC 8441, is not offered.
	if status, text, proto := exchange(t, client, "GET", "https://"+address+"/socket.io/?EIO=4&transport=websocket", ""); status != 400 || proto != "HTTP/2.0" {
		t.Errorf("a WebSocket over HTTP/2 is answered %d %q by %s", status, text, proto)
	}
	if offersConnect(t, address, trust) {
		t.Error("extended CONNECT is offered")
	}
	// Plain text is answered, so that who is wrong learns why.
	if status, text := get(t, address, "/"); status != 400 || !strings.Contains(text, "HTTPS") {
		t.Errorf("plain text is answered %d %q", status, text)
	}
	d.stop()
	b.end(t)
	if code := d.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// offersConnect reports whether a server's settings allow extended CONNECT.
func offersConnect(t *testing.T, address string, trust *tls.Config) bool {
	t.Helper()
	c := trust.Clone()
	c.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(conn, conn)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := f.ReadFrame()
	first, ok := frame.(*http2.SettingsFrame)
	if err != nil || !ok {
		t.Fatalf("the first frame is %v, %v", frame, err)
	}
	v, ok := first.Value(http2.SettingEnableConnectProtocol)
	return ok && v != 0
}

// WebTransport shows the certificate of browsers, unless it has one of its own; both are
// exchanged, and metrics say when they expire.
func TestWebTransportCertificate(t *testing.T) {
	authority := certtest.New(t, "authority")
	shared, own := t.TempDir(), t.TempDir()
	issue := func(name, dir string, days int) (cert, key string) {
		return authority.IssueFor(t, name, time.Now().Add(-time.Hour), time.Now().AddDate(0, 0, days)).Write(t, dir)
	}
	cert, key := issue("shared", shared, 10)
	args := []string{"--webtransport-listen=127.0.0.1:0", "--tls-cert-file=" + cert, "--tls-key-file=" + key}
	d := start(t, args...)
	expect := func(d *running, name string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := quic.DialAddr(ctx, d.at["webtransport"], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseWithError(0, "")
		if got := conn.ConnectionState().TLS.PeerCertificates[0].Subject.CommonName; got != name {
			t.Errorf("WebTransport shows %q, want %q", got, name)
		}
	}
	expires := func(d *running, to, certFile string) {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(certFile, strings.Replace(certFile, "cert.pem", "key.pem", 1))
		if err != nil {
			t.Fatal(err)
		}
		d.awaitMetric(t, fmt.Sprintf("fanoutd_tls_certificate_expiry_timestamp_seconds{shown_to=%q} %v", to, float64(pair.Leaf.NotAfter.Unix())))
	}
	expect(d, "shared")
	expires(d, "browsers", cert)
	issue("shared two", shared, 20)
	awaitShown(t, d.at["browsers"], "shared two")
	expect(d, "shared two")
	expires(d, "browsers", cert)

	ownCert, ownKey := issue("own", own, 30)
	d = start(t, append(args, "--webtransport-cert-file="+ownCert, "--webtransport-key-file="+ownKey)...)
	expect(d, "own")
	expires(d, "browsers", cert)
	expires(d, "webtransport", ownCert)
}

// Nodes hand over requests that came by TLS, at a listener of their own that serves
// nobody else.
func TestClusterWithTLS(t *testing.T) {
	args := []string{"--cluster-listen=127.0.0.1:0", "--cluster-forward-listen=127.0.0.1:0", "--ping-interval=1s"}
	a, client, _ := browserTLS(t, append(args, "--node-name=a")...)
	b, other, _ := browserTLS(t, append(args, "--node-name=b", "--cluster-peers="+a.at["nodes"])...)
	a.awaitMetric(t, "fanoutd_nodes_alive 1")
	b.awaitMetric(t, "fanoutd_nodes_alive 1")
	path := "/socket.io/?EIO=4&transport=polling"
	status, text, _ := exchange(t, client, "GET", "https://"+a.at["browsers"]+path, "")
	if status != 200 {
		t.Fatalf("%d %q", status, text)
	}
	sid, _, _ := strings.Cut(strings.TrimPrefix(text, `0{"sid":"`), `"`)
	path += "&sid=" + sid
	stray := "https://" + b.at["browsers"] + path
	if status, text, _ = exchange(t, other, "POST", stray, "40", "Origin", "https://"+b.at["browsers"]); status != 200 || text != "ok" {
		t.Fatalf("a POST at another node is answered %d %q", status, text)
	}
	if status, text, _ = exchange(t, other, "GET", stray, ""); status != 200 || !strings.HasPrefix(text, `40{"sid":"`) {
		t.Fatalf("a poll at another node is answered %d %q", status, text)
	}
	if status, text, _ = exchange(t, other, "GET", stray, "", "Origin", "http://"+b.at["browsers"]); status != 403 {
		t.Errorf("a plain http page at another node is answered %d %q", status, text)
	}
	if status, text := get(t, a.at["forwarded"], path); status != 403 {
		t.Errorf("a browser at the nodes' listener is answered %d %q", status, text)
	}
}

// Every listener may be a unix socket.
func TestUnixSockets(t *testing.T) {
	dir := t.TempDir()
	d := start(t, "--listen=unix:"+dir+"/browsers", "--control-listen=unix:"+dir+"/backends", "--ops-listen=unix:"+dir+"/operators")
	client := func(who string) *http.Client {
		at := strings.TrimPrefix(d.at[who], "unix:")
		return &http.Client{Timeout: patience, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", at) },
		}}
	}
	if status, text, _ := exchange(t, client("operators"), "GET", "http://operators/readyz", ""); status != 200 || text != "ok\n" {
		t.Errorf("the operators' listener answers %d %q", status, text)
	}
	if status, text, _ := exchange(t, client("browsers"), "GET", "http://browsers/socket.io/?EIO=4&transport=polling", ""); status != 200 || !strings.HasPrefix(text, `0{"sid":"`) {
		t.Errorf("the browsers' listener answers %d %q", status, text)
	}
	dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", strings.TrimPrefix(d.at["browsers"], "unix:"))
	}}
	conn, resp, err := dialer.Dial("ws://browsers/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	defer conn.Close()
	b := browser{conn}
	b.read(t, "0{")
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		t.Fatal(err)
	}
	b.read(t, `40{"sid":"`)
	if err := serverInfo(t, dialControl(t, d.at["backends"])); err != nil {
		t.Error(err)
	}
	var out strings.Builder
	if code := run(t.Context(), []string{"healthcheck", "--ops-listen=" + d.at["operators"]}, nil, &out, &out); code != exitOK {
		t.Errorf("healthcheck: %d %s", code, out.String())
	}
}
