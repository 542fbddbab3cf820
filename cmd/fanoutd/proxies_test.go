package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// proxyDialer dials as a proxy does that serves 203.0.113.7.
func proxyDialer(network, address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			_, err = io.WriteString(c, "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n")
		}
		return c, err
	}
}

// secureHeader says by version 2 of the PROXY protocol what proxyDialer does, and that the
// client came by TLS 1.3.
const secureHeader = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x1e" + "\xcb\x00\x71\x07\x0a\x00\x00\x01\x12\x67\x01\xbb" +
	"\x20\x00\x0f\x01\x00\x00\x00\x01" + "\x21\x00\x07TLSv1.3"

// remote returns the address of the one connection there is.
func (d *running) remote(t *testing.T) string {
	t.Helper()
	list, err := fanoutv1.NewRegistryServiceClient(dialControl(t, d.at["backends"])).ListConnections(t.Context(),
		&fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{All: true}, View: fanoutv1.Connection_FULL})
	if err != nil || len(list.Connections) != 1 {
		t.Fatalf("connections %v, %v, want one", list, err)
	}
	return list.Connections[0].Handshake.Address
}

// joinBy joins the default namespace by a WebSocket, and echoes a ping.
func joinBy(t *testing.T, dialer websocket.Dialer, url string, header http.Header) browser {
	t.Helper()
	conn, resp, err := dialer.Dial(url+"/socket.io/?EIO=4&transport=websocket", header)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { conn.Close() })
	b := browser{conn}
	b.read(t, "0{")
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		t.Fatal(err)
	}
	b.read(t, `40{"sid":"`)
	return b
}

// A trusted proxy says by the PROXY protocol whom it serves, before TLS, over TCP and unix
// sockets; nobody else is served.
func TestProxyProtocol(t *testing.T) {
	const client = "203.0.113.7:4711"
	t.Run("plain", func(t *testing.T) {
		d := start(t, "--proxy-protocol", "--trusted-proxies=127.0.0.1")
		joinBy(t, websocket.Dialer{NetDialContext: proxyDialer("tcp", d.at["browsers"])}, "ws://app.example.com", nil)
		if got := d.remote(t); got != client {
			t.Errorf("the connection is from %s, want %s", got, client)
		}
		c := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: proxyDialer("tcp", d.at["browsers"]), DisableKeepAlives: true}}
		if status, text, _ := exchange(t, c, "GET", "http://app.example.com/socket.io/?EIO=4&transport=polling", ""); status != 200 {
			t.Errorf("a poll is answered %d %q", status, text)
		}
		if resp, err := http.Get("http://" + d.at["browsers"]); err == nil {
			resp.Body.Close()
			t.Errorf("who says nothing is answered %d", resp.StatusCode)
		}
		d.logs.await(t, "refused connections of a proxy that did not say whom it serves")
	})
	t.Run("TLS", func(t *testing.T) {
		d, _, trust := browserTLS(t, "--proxy-protocol", "--trusted-proxies=127.0.0.1")
		config := &tls.Config{RootCAs: trust.RootCAs, ServerName: "localhost"}
		joinBy(t, websocket.Dialer{NetDialContext: proxyDialer("tcp", d.at["browsers"]), TLSClientConfig: config}, "wss://app.example.com", nil)
		if got := d.remote(t); got != client {
			t.Errorf("the connection is from %s, want %s", got, client)
		}
	})
	t.Run("unix socket", func(t *testing.T) {
		d := start(t, "--listen=unix:"+t.TempDir()+"/s", "--proxy-protocol", "--trusted-proxies=unix")
		at := strings.TrimPrefix(d.at["browsers"], "unix:")
		joinBy(t, websocket.Dialer{NetDialContext: proxyDialer("unix", at)}, "ws://app.example.com", nil)
		if got := d.remote(t); got != client {
			t.Errorf("the connection is from %s, want %s", got, client)
		}
	})
	t.Run("TLS ends at the proxy", func(t *testing.T) {
		d := start(t, "--proxy-protocol", "--trusted-proxies=127.0.0.1")
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.at["browsers"])
			if err == nil {
				_, err = io.WriteString(c, secureHeader)
			}
			return c, err
		}
		// Its own pages are those of https, by every transport.
		joinBy(t, websocket.Dialer{NetDialContext: dial}, "ws://app.example.com", http.Header{"Origin": {"https://app.example.com"}})
		c := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
		const poll = "http://app.example.com/socket.io/?EIO=4&transport=polling"
		if status, text, _ := exchange(t, c, "GET", poll, "", "Origin", "https://app.example.com"); status != 200 {
			t.Errorf("a poll of its page is answered %d %q", status, text)
		}
		if status, text, _ := exchange(t, c, "GET", poll, "", "Origin", "http://app.example.com"); status != 403 {
			t.Errorf("a poll of its plain page is answered %d %q", status, text)
		}
		list, err := fanoutv1.NewRegistryServiceClient(dialControl(t, d.at["backends"])).ListConnections(t.Context(),
			&fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{All: true}, View: fanoutv1.Connection_FULL})
		if err != nil || len(list.Connections) != 1 || !list.Connections[0].Handshake.Secure || list.Connections[0].Handshake.Address != client {
			t.Errorf("got %v, %v, want one connection, secure and from %s", list, err, client)
		}
	})
	t.Run("not trusted", func(t *testing.T) {
		d := start(t, "--proxy-protocol", "--trusted-proxies=10.0.0.1")
		c := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: proxyDialer("tcp", d.at["browsers"])}}
		if resp, err := c.Get("http://app.example.com/"); err == nil {
			resp.Body.Close()
			t.Errorf("a proxy that is not trusted is answered %d", resp.StatusCode)
		}
		d.logs.await(t, "trusted-proxies")
	})
}

// A proxy on a unix socket is believed if unix is trusted.
func TestForwardedHeadersOnUnixSocket(t *testing.T) {
	for _, tt := range []struct{ trusts, want string }{{"unix", "203.0.113.7"}, {"127.0.0.1", "@"}} {
		t.Run(tt.trusts, func(t *testing.T) {
			d := start(t, "--listen=unix:"+t.TempDir()+"/s", "--trusted-proxies="+tt.trusts)
			dialer := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
				return net.Dial("unix", strings.TrimPrefix(d.at["browsers"], "unix:"))
			}}
			joinBy(t, dialer, "ws://app.example.com", http.Header{"X-Forwarded-For": {"203.0.113.7"}})
			if got := d.remote(t); got != tt.want {
				t.Errorf("the connection is from %q, want %q", got, tt.want)
			}
		})
	}
}
