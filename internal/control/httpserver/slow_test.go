package httpserver

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// pipeListener accepts connections in memory.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
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

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8081} }

// A client that is slow with what it says, or with what it takes, is cut off in time.
func TestSlow(t *testing.T) {
	const start = " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	const key = "Authorization: Bearer xx\r\n"
	for _, tt := range []struct {
		name, sends string
		reads       bool // what is answered
		want        time.Duration
	}{
		{"nothing", "", true, headerTimeout},
		{"half of the headers", "POST " + emitPath + start, true, headerTimeout},
		{"half of a request", "POST " + emitPath + start + key + "Content-Length: 100\r\n\r\n{", true, messageTimeout},
		{"half of a request for lines", "POST " + tailPath + start + key + "Content-Length: 100\r\n\r\n{", true, messageTimeout},
		{"half of a request, which needs no key", "POST /grpc.health.v1.Health/Check" + start + "Content-Length: 100\r\n\r\n{", true, openTimeout},
		{"half of a request without a key", "POST " + emitPath + start + "Content-Length: 100\r\n\r\n{", true, openTimeout},
		{"half of a request in another form", "POST " + emitPath + strings.Replace(start, "application/json", "text/plain", 1) + key + "Content-Length: 100\r\n\r\n{", true, openTimeout},
		{"half of a request of a method that only gRPC has", "POST " + fanoutv1.EventService_Consume_FullMethodName + start + key + "Content-Length: 100\r\n\r\n{", true, openTimeout},
		{"half of a page's request", "POST " + emitPath + start + key + "Origin: https://evil.example\r\nContent-Length: 100\r\n\r\n{", true, openTimeout},
		{"half of a request for health", "GET /healthz" + start + "Content-Length: 100\r\n\r\n{", true, openTimeout},
		{"half of a request for nothing", "POST /x" + start + "Content-Length: 100\r\n\r\n{", true, openTimeout},
		{"an answer that is not taken", "POST " + emitPath + start + key + whole(goodEmit), false, messageTimeout},
		{"a page that is not taken", "GET /healthz" + start + "\r\n", false, messageTimeout},
		{"an answer of a stream that is not taken", "POST " + ackPath + start + key + whole(ackRequest), false, messageTimeout},
		{"an answer that is taken, and no further request", "POST " + emitPath + start + key + whole(goodEmit), true, idleTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				quiet := slog.New(slog.DiscardHandler)
				services := control.New(&fakeHub{}, control.Options{
					Logger: quiet, Dispatcher: control.DispatcherOf(dispatch.New(dispatch.Options{Logger: quiet})),
				})
				s := New(services, callers(t, identity.Key{Name: "x", Secret: "xx"}), Options{Logger: quiet})
				l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
				go s.Serve(l)
				client, server := net.Pipe()
				closed := make(chan time.Duration, 1)
				begun := time.Now()
				l.conns <- closing{server, func() {
					select {
					case closed <- time.Since(begun):
					default: // again
					}
				}}
				go io.WriteString(client, tt.sends)
				if tt.reads {
					go io.Copy(io.Discard, client)
				}
				if took := <-closed; took != tt.want {
					t.Errorf("it was cut off after %v, want %v", took, tt.want)
				}
				client.Close()
				if err := s.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// whole is the end of the headers of a request, and its body.
func whole(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }

// closing tells when it is closed.
type closing struct {
	net.Conn
	told func()
}

func (c closing) Close() error {
	c.told()
	return c.Conn.Close()
}
