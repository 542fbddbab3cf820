package proxyprotocol

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

// harness is a Listener, and what it refused.
type harness struct {
	*Listener
	refused chan error
}

func listen(t *testing.T, network, address string, trusted bool, timeout time.Duration) *harness {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{refused: make(chan error, 10)}
	h.Listener = Listen(l, Options{
		Trusted: func(net.Addr) bool { return trusted },
		Timeout: timeout,
		Refused: func(_ net.Addr, err error) { h.refused <- err },
	})
	t.Cleanup(func() { h.Close() })
	return h
}

func (h *harness) dial(t *testing.T, sends string) net.Conn {
	t.Helper()
	c, err := net.Dial(h.Addr().Network(), h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, sends); err != nil {
		t.Fatal(err)
	}
	return c
}

// accept returns the next connection and its first bytes.
func (h *harness) accept(t *testing.T, n int) (net.Conn, string) {
	t.Helper()
	type result struct {
		c   net.Conn
		err error
	}
	got := make(chan result, 1)
	go func() {
		c, err := h.Accept()
		got <- result{c, err}
	}()
	select {
	case r := <-got:
		if r.err != nil {
			t.Fatal(r.err)
		}
		t.Cleanup(func() { r.c.Close() })
		r.c.SetDeadline(time.Now().Add(patience))
		b := make([]byte, n)
		if _, err := io.ReadFull(r.c, b); err != nil {
			t.Fatal(err)
		}
		return r.c, string(b)
	case err := <-h.refused:
		t.Fatalf("refused: %v", err)
	case <-time.After(patience):
		t.Fatal("no connection")
	}
	return nil, ""
}

// expectEnd expects that nothing is answered and the connection is closed.
func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is not closed: %d bytes, %v", n, err)
	}
}

// v2 is a header of version 2 with a TLV, and others.
func v2(t *testing.T, command proxyproto.ProtocolVersionAndCommand, source, destination net.Addr, others ...proxyproto.TLV) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, source, destination)
	h.Command = command
	if err := h.SetTLVs(append([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("app.example.com")}}, others...)); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// bareV2 is a header of version 2 with this byte for the family, and what follows its length.
func bareV2(command proxyproto.ProtocolVersionAndCommand, family byte, rest string) string {
	return string(signature) + string([]byte{byte(command), family, 0, byte(len(rest))}) + rest
}

func TestClientAddress(t *testing.T) {
	v4 := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}
	v6 := &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 4711}
	to6 := &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443}
	to4 := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}
	tests := []struct {
		name, header, want string // empty: the proxy's own
	}{
		{"version 1, IPv4", "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", "203.0.113.7:4711"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "[2001:db8::7]:4711"},
		{"version 1, shortest", "PROXY TCP6 :: :: 1 1\r\n", "[::]:1"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n", ""},
		{"version 1, unknown with addresses", "PROXY UNKNOWN 203.0.113.7 10.0.0.1 4711 443\r\n", ""},
		{"version 2, IPv4", v2(t, proxyproto.PROXY, v4, to4), "203.0.113.7:4711"},
		{"version 2, IPv6", v2(t, proxyproto.PROXY, v6, to6), "[2001:db8::7]:4711"},
		{"version 2, health check", v2(t, proxyproto.LOCAL, v4, to4), ""},
		{"version 2, health check without addresses", bareV2(proxyproto.LOCAL, 0x11, ""), ""},
		{"version 2, health check of an unknown family", bareV2(proxyproto.LOCAL, 0xff, "anything"), ""},
		{"version 2, unknown", bareV2(proxyproto.PROXY, 0, ""), ""},
		{"version 2, unknown with fields", bareV2(proxyproto.PROXY, 0, "\x04\x00\x01x"), ""},
	}
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		h := listen(t, network, address, true, patience)
		for _, tt := range tests {
			t.Run(network+", "+tt.name, func(t *testing.T) {
				proxy := h.dial(t, tt.header+"GET /")
				c, begin := h.accept(t, 5)
				if begin != "GET /" {
					t.Errorf("it begins with %q", begin)
				}
				want := tt.want
				if want == "" {
					want = "@"
					if network == "tcp" {
						want = proxy.LocalAddr().String()
					}
				}
				if got := c.RemoteAddr().String(); got != want {
					t.Errorf("it comes from %s, want %s", got, want)
				}
			})
		}
	}
}

// A proxy that ends TLS says so by a field of version 2.
func TestSecure(t *testing.T) {
	v4, to := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 4711}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}
	tls := func(client byte, version string) proxyproto.TLV {
		value := []byte{client, 0, 0, 0, 1}
		value = append(value, byte(proxyproto.PP2_SUBTYPE_SSL_VERSION), 0, byte(len(version)))
		return proxyproto.TLV{Type: proxyproto.PP2_TYPE_SSL, Value: append(value, version...)}
	}
	h := listen(t, "tcp", "127.0.0.1:0", true, patience)
	for _, tt := range []struct {
		name, header string
		want         bool
	}{
		{"TLS", v2(t, proxyproto.PROXY, v4, to, tls(1, "TLSv1.3")), true},
		{"TLS, with a certificate", v2(t, proxyproto.PROXY, v4, to, tls(7, "TLSv1.3")), true},
		{"no TLS", v2(t, proxyproto.PROXY, v4, to, tls(0, "")), false},
		{"not said", v2(t, proxyproto.PROXY, v4, to), false},
		{"half of a field", v2(t, proxyproto.PROXY, v4, to, proxyproto.TLV{Type: proxyproto.PP2_TYPE_SSL, Value: []byte{1}}), false},
		{"version 1", "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.dial(t, tt.header+"x")
			c, _ := h.accept(t, 1)
			conn, ok := c.(*Conn)
			if !ok || conn.Secure() != tt.want || conn.RemoteAddr().String() != v4.String() {
				t.Errorf("got %T from %v, secure %v, want %v", c, c.RemoteAddr(), ok && conn.Secure(), tt.want)
			}
		})
	}
	h.dial(t, v2(t, proxyproto.LOCAL, v4, to, tls(1, "TLSv1.3"))+"x")
	if c, _ := h.accept(t, 1); c.RemoteAddr().String() == v4.String() {
		t.Error("the proxy's own connection is its client's")
	}
}

// Who sends no header that is right is closed, and no other waits for it.
func TestRefused(t *testing.T) {
	tests := []struct{ name, sends, want string }{
		{"no header", "GET / HTTP/1.1\r\n\r\n", errNone.Error()},
		{"bad address", "PROXY TCP4 203.0.113 10.0.0.1 4711 443\r\n", "proxyproto"},
		{"no end", "PROXY TCP4 " + strings.Repeat("1", 200), errLong.Error()},
		{"too long", string(signature) + "\x21\x11\xff\xff", errLong.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := listen(t, "tcp", "127.0.0.1:0", true, patience)
			h.dial(t, "PROXY ") // and nothing more
			c := h.dial(t, tt.sends)
			expectEnd(t, c)
			if err := <-h.refused; !strings.Contains(err.Error(), tt.want) {
				t.Errorf("refused as %q, want %q", err, tt.want)
			}
			h.dial(t, "PROXY UNKNOWN\r\nx")
			h.accept(t, 1)
		})
	}
}

func TestNotTrusted(t *testing.T) {
	h := listen(t, "tcp", "127.0.0.1:0", false, patience)
	c := h.dial(t, "PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n")
	expectEnd(t, c)
	if err := <-h.refused; !errors.Is(err, ErrNotTrusted) {
		t.Errorf("refused as %v", err)
	}
}

func TestSilent(t *testing.T) {
	h := listen(t, "tcp", "127.0.0.1:0", true, 10*time.Millisecond)
	c := h.dial(t, "PROXY TCP4 ")
	expectEnd(t, c)
	var timeout net.Error
	if err := <-h.refused; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("refused as %v, want a timeout", err)
	}
}

func TestClose(t *testing.T) {
	h := listen(t, "tcp", "127.0.0.1:0", true, patience)
	c := h.dial(t, "PROXY ")
	h.dial(t, "PROXY UNKNOWN\r\nx")
	h.accept(t, 1) // so run has met the first, too
	h.Close()
	if _, err := h.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept returns %v", err)
	}
	expectEnd(t, c)
	if err := h.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close again returns %v", err)
	}
}
