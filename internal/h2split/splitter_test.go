package h2split

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

// accept has a server accept from each listener, and returns what they get: the server's
// name, and the connection.
func accept(t *testing.T, s *Splitter) <-chan got {
	t.Helper()
	all := make(chan got, 16)
	for name, l := range map[string]net.Listener{"http2": s.HTTP2(), "others": s.Others()} {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				all <- got{name, c}
			}
		}()
	}
	t.Cleanup(func() { s.HTTP2().Close() })
	return all
}

type got struct {
	server string
	conn   net.Conn
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wrapped is a connection that cannot be looked into.
type wrapped struct{ net.Conn }

// above is on top of a connection, and says so.
type above struct{ net.Conn }

func (a above) NetConn() net.Conn { return a.Conn }

type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// In plain text the first bytes tell, and none of them is lost, in however many pieces they
// come; a socket is passed on as it was accepted.
func TestPlainText(t *testing.T) {
	for _, tt := range []struct {
		name, sends, want string
	}{
		{"gRPC", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"},
		{"a POST", "POST / HTTP/1.1\r\n", "others"},
		{"a PUT, which begins alike", "PUT / HTTP/1.1\r\n", "others"},
		{"a method that begins alike", "PROPFIND / HTTP/1.1\r\n", "others"},
		{"a byte", "x", "others"},
	} {
		no := func(c net.Conn) net.Conn { return wrapped{c} }
		on := func(c net.Conn) net.Conn { return above{c} }
		for _, how := range []struct {
			name   string
			wrap   func(net.Conn) net.Conn
			pieces bool
		}{{"at once", nil, false}, {"in pieces", nil, true}, {"no socket", no, false}, {"no socket, in pieces", no, true}, {"on a socket", on, false}, {"on a socket, in pieces", on, true}} {
			t.Run(tt.name+" "+how.name, func(t *testing.T) {
				l := listen(t)
				from := l
				if how.wrap != nil {
					from = wrapping{l, how.wrap}
				}
				all := accept(t, Listen(from, Options{Timeout: time.Minute}))
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				step := len(tt.sends)
				if how.pieces {
					step = 1
				}
				for at := 0; at < len(tt.sends); at += step {
					if _, err := io.WriteString(c, tt.sends[at:at+step]); err != nil {
						t.Fatal(err)
					}
				}
				a := <-all
				defer a.conn.Close()
				read := make([]byte, len(tt.sends))
				if _, err := io.ReadFull(a.conn, read); err != nil || string(read) != tt.sends || a.server != tt.want {
					t.Errorf("%s got %q, %v, want %s with all of it", a.server, read, err, tt.want)
				}
				_, asItWas := a.conn.(*net.TCPConn)
				if how.wrap != nil {
					_, asItWas = a.conn.(above)
				}
				if want := how.name == "at once" || how.name == "on a socket"; want && !asItWas {
					t.Errorf("the server got a %T", a.conn)
				}
			})
		}
	}
}

// Over TLS it is what clients offer, and sessions resume.
func TestTLS(t *testing.T) {
	authority := certtest.New(t, "an authority")
	pair := authority.Issue(t, "localhost")
	certificate, err := tls.X509KeyPair([]byte(pair.Cert), []byte(pair.Key))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		offers []string
		want   string
		speaks string
	}{
		{"h2 alone, as gRPC", []string{"h2"}, "http2", "h2"},
		{"both", []string{"h2", "http/1.1"}, "others", "h2"},
		{"HTTP/1.1", []string{"http/1.1"}, "others", "http/1.1"},
		{"nothing", nil, "others", ""},
	} {
		for _, each := range []bool{false, true} {
			name := tt.name
			config := &tls.Config{Certificates: []tls.Certificate{certificate}}
			if each {
				name += ", a configuration for each client"
				config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
					return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
				}
			}
			t.Run(name, func(t *testing.T) {
				l := listen(t)
				all := accept(t, Listen(l, Options{TLS: config, Timeout: time.Minute}))
				cache := tls.NewLRUClientSessionCache(1)
				for i := range 2 {
					c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{
						RootCAs: authority.Pool(), ServerName: "localhost", NextProtos: tt.offers, ClientSessionCache: cache,
					})
					if err != nil {
						t.Fatal(err)
					}
					a := <-all
					if _, ok := a.conn.(*tls.Conn); !ok || a.server != tt.want {
						t.Errorf("%s got a %T, want %s with a *tls.Conn", a.server, a.conn, tt.want)
					}
					go a.conn.Write([]byte("x"))
					if _, err := c.Read(make([]byte, 1)); err != nil { // and with it the session's ticket
						t.Fatal(err)
					}
					if st := c.ConnectionState(); st.NegotiatedProtocol != tt.speaks || st.DidResume != (i == 1) {
						t.Errorf("connection %d: got %q, resumed %v, want %q", i, st.NegotiatedProtocol, st.DidResume, tt.speaks)
					}
					c.Close()
					a.conn.Close()
				}
			})
		}
	}
}

// Connections that say nothing are closed after the time for it, or with the listener; one
// that ends is given to nobody.
func TestSilence(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(s *Splitter, client net.Conn)
		want time.Duration
	}{
		{"too long", func(*Splitter, net.Conn) {}, time.Minute},
		{"the listener closes", func(s *Splitter, _ net.Conn) { s.Others().Close() }, 0},
		{"it ends", func(_ *Splitter, client net.Conn) { client.Close() }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
				s := Listen(l, Options{Timeout: time.Minute})
				all := accept(t, s)
				start := time.Now()
				client := l.dial()
				synctest.Wait()
				tt.end(s, client)
				if _, err := client.Read(make([]byte, 1)); err == nil {
					t.Error("the connection goes on")
				}
				if took := time.Since(start); took != tt.want {
					t.Errorf("it ended after %v, want %v", took, tt.want)
				}
				for _, half := range []net.Listener{s.HTTP2(), s.Others()} {
					if err := half.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
				if _, err := s.HTTP2().Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept after Close: %v", err)
				}
				synctest.Wait()
				if len(all) > 0 {
					t.Errorf("%d connections were given to a server", len(all))
				}
			})
		})
	}
}

// pipeListener accepts connections in memory.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.done)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }
