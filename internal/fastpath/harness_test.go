package fastpath

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// briefly is how long clients have that a test keeps waiting for too long: enough for those that
// it does not.
const briefly = time.Second

// polls is a server whose handler a test writes.
type polls struct {
	*testing.T
	*Server
	network, at string

	mu         sync.Mutex
	past, left int // requests that net/http did not serve, and that it did
	log        bytes.Buffer
}

// Write takes what is logged.
func (p *polls) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func servePolls(t *testing.T, h http.HandlerFunc, change ...func(*Server)) *polls {
	t.Helper()
	return servePollsOn(t, listen(t), h, change...)
}

func servePollsOn(t *testing.T, l net.Listener, h http.HandlerFunc, change ...func(*Server)) *polls {
	t.Helper()
	if !canPoll {
		t.Skip("this system leaves polls to net/http")
	}
	p := &polls{T: t, network: l.Addr().Network(), at: l.Addr().String()}
	s := &http.Server{
		ReadHeaderTimeout: patience, IdleTimeout: patience,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, byNetHTTP{}, true)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			if r.Context().Value(byNetHTTP{}) == nil {
				p.past++
			} else {
				p.left++
			}
			p.mu.Unlock()
			h(w, r)
		}),
	}
	p.Server = New(s, Options{PollPath: "/socket.io/", Logger: slog.New(slog.NewTextHandler(p, nil))})
	for _, f := range change {
		f(p.Server)
	}
	served := make(chan error)
	go func() { served <- p.Serve(l) }()
	t.Cleanup(func() {
		p.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving ended with %v", err)
		}
		<-p.gone
		if n := p.poller.Watched(); n != 0 {
			t.Errorf("%d connections are watched in the end", n)
		}
	})
	return p
}

// served checks how many requests were served past net/http, and by it.
func (p *polls) served(past, left int) {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.past != past || p.left != left {
		p.Errorf("%d requests were served past net/http and %d by it, not %d and %d", p.past, p.left, past, left)
	}
}

// client is a connection to the server.
type client struct {
	*testing.T
	net.Conn
	r *bufio.Reader
}

func (p *polls) dial() *client {
	p.Helper()
	c, err := net.Dial(p.network, p.at)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{p.T, c, bufio.NewReader(c)}
}

// asks sends a request and returns the answer.
func (c *client) asks(request string) (*http.Response, string) {
	c.Helper()
	if _, err := io.WriteString(c.Conn, request); err != nil {
		c.Fatal(err)
	}
	return c.answer()
}

func (c *client) answer() (*http.Response, string) {
	c.Helper()
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.Fatal(err)
	}
	return r, string(body)
}

// ends checks that the server closes the connection and sends nothing before.
func (c *client) ends() {
	c.Helper()
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.Errorf("the connection ends with %q, %v", rest, err)
	}
}

// say answers with what the request said.
func say(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RawQuery, body)
}
