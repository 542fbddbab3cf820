package ops

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes accepts connections in memory.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l pipes) Close() error { return nil }

func (l pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8082} }

// A client that does not send the body that it has announced holds nothing for long, whoever
// reads it; one without a body may wait for its answer for as long as that takes.
func TestBodiesThatDoNotCome(t *testing.T) {
	const body = "Content-Length: 100\r\n\r\n{"
	for _, tt := range []struct {
		name, sends string
		want        time.Duration
	}{
		{"what reads it", "POST /console/read HTTP/1.1\r\nHost: x\r\n" + body, bodyTimeout},
		{"what does not", "POST /metrics HTTP/1.1\r\nHost: x\r\n" + body, bodyTimeout},
		{"chunks", "POST /console/read HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", bodyTimeout},
		{"no body, and a late answer", "GET /console/late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 10 * bodyTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				console := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "late") {
						select {
						case <-time.After(10 * bodyTimeout):
						case <-r.Context().Done():
						}
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
				})
				l := make(pipes)
				s := &http.Server{Handler: Handler(&Readiness{}, http.NotFoundHandler(), console)}
				go s.Serve(l)
				client, server := net.Pipe()
				l <- server
				began := time.Now()
				go io.WriteString(client, tt.sends)
				_, _ = io.Copy(io.Discard, client)
				if got := time.Since(began); got < tt.want || got > tt.want+time.Second { // net/http closes half a second later
					t.Errorf("closed after %v, want %v", got, tt.want)
				}
				client.Close()
				close(l)
			})
		})
	}
}
