package engineio

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// echo sends back what a session receives.
type echo struct{ session *Session }

func (e echo) Receive(data []byte, binary bool) {
	if binary {
		e.session.Send(Binary(data))
	} else {
		e.session.Send(Text(data))
	}
}

func (echo) Closed(Reason) {}

type echoes struct{}

func (echoes) Open(s *Session, _ *http.Request) (Receiver, error) { return echo{s}, nil }

// pieces writes in pieces, so that the other end reads parts of frames and falls silent within them.
type pieces struct {
	net.Conn
	r *rand.Rand
}

func (p *pieces) Write(b []byte) (written int, err error) {
	for written < len(b) {
		n := len(b) - written
		if p.r.IntN(2) == 0 {
			n = 1 + p.r.IntN(n)
		}
		n, err = p.Conn.Write(b[written : written+n])
		if written += n; err != nil {
			return written, err
		}
		for range p.r.IntN(4) {
			runtime.Gosched()
		}
	}
	return written, nil
}

// What reads frames goes from connection to connection: each hears its own messages, all
// and in order, in whatever fragments and pieces they come, with and without compression,
// between pings, and beside connections that end within a frame.
func TestFramersAreLent(t *testing.T) {
	const clients, messages = 20, 60
	server, err := NewServer(Options{PerMessageDeflate: true, Logger: slog.New(slog.DiscardHandler), Limits: Limits{Pending: -1}}, echoes{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: server}
	go h.Serve(l)
	defer h.Close()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	var wg sync.WaitGroup
	for i := range clients {
		r := rand.New(rand.NewPCG(uint64(i), 6))
		r2 := rand.New(rand.NewPCG(uint64(i), 7))
		dial := websocket.Dialer{
			EnableCompression: i%3 == 0, WriteBufferSize: 64 + r.IntN(500),
			NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return &pieces{c, r2}, err
			},
		}
		c, res, err := dial.Dial("ws://"+l.Addr().String()+"/socket.io/?"+freshWS, nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if i%5 == 4 { // ends within a frame
			wg.Go(func() {
				c.NetConn().Write([]byte{0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 5}[:1+r.IntN(9)])
				c.Close()
			})
			continue
		}
		message := func(n int) string { return fmt.Sprint(i, " ", n, " ", strings.Repeat(fmt.Sprint(n), n*n%1500)) }
		wg.Go(func() {
			for n := range messages {
				if n%10 == 0 {
					c.WriteControl(websocket.PingMessage, []byte{byte(n)}, time.Time{})
				}
				w, err := c.NextWriter(websocket.TextMessage)
				if err != nil {
					t.Error(err)
					return
				}
				for text := "4" + message(n); text != ""; {
					m := 1 + r.IntN(len(text))
					w.Write([]byte(text[:m]))
					text = text[m:]
				}
				if err := w.Close(); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			defer c.Close()
			for n := 0; n < messages; {
				_, got, err := c.ReadMessage()
				if err != nil {
					t.Errorf("client %d: message %d: %v", i, n, err)
					return
				}
				if got[0] != '4' {
					continue
				}
				if want := message(n); string(got[1:]) != want {
					t.Errorf("client %d: message %d is %.30q", i, n, got)
					return
				}
				n++
			}
		})
	}
	wg.Wait()
}
