package engineio

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1 // not Linux: nothing to compare
	}
	return len(files)
}

// Sessions come and go over TCP, in every way they can, while messages are sent to
// all of them: afterwards nothing is left of them.
func TestChurnOverTCP(t *testing.T) {
	const clients, rounds = 30, 8
	files, goroutines := openFiles(), runtime.NumGoroutine()
	w := newRealWorld(t, Options{MaxQueue: 100_000, Limits: Limits{Pending: -1}})
	transport := &http.Transport{}
	poll := func(method, query, body string) (string, error) {
		req, err := http.NewRequest(method, "http://"+w.addr+"/socket.io/?"+query, strings.NewReader(body))
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		res, err := transport.RoundTrip(req.WithContext(ctx))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		var b strings.Builder
		_, err = fmt.Fprint(&b, res.Status)
		buf := make([]byte, 64<<10)
		n, _ := res.Body.Read(buf)
		return string(buf[:n]), err
	}
	stop := make(chan struct{})
	var sending, churning sync.WaitGroup
	sending.Go(func() {
		m := Text([]byte(strings.Repeat("x", 3000)))
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, s := range w.server.all() {
				s.Send(m)
			}
			w.server.Pace([]*Message{m})
			runtime.Gosched()
		}
	})
	for i := range clients {
		r := rand.New(rand.NewPCG(uint64(i), 5))
		churning.Go(func() {
			for range rounds {
				query := freshWS
				if r.IntN(3) == 0 { // by polling first, perhaps with an upgrade
					open, err := poll("GET", fresh, "")
					if err != nil || !strings.HasPrefix(open, "0{") {
						t.Errorf("handshake: %q, %v", open, err)
						return
					}
					sid := strings.SplitN(strings.TrimPrefix(open, `0{"sid":"`), `"`, 2)[0]
					query = fresh + "&sid=" + sid
					if r.IntN(2) == 0 {
						if r.IntN(2) == 0 {
							poll("POST", query, "1")
						}
						continue // abandoned, or said goodbye
					}
					query = strings.Replace(query, "polling", "websocket", 1)
				}
				c, res, err := websocket.DefaultDialer.Dial("ws://"+w.addr+"/socket.io/?"+query, nil)
				if err != nil {
					continue // the session was closed as too slow, meanwhile
				}
				res.Body.Close()
				if query != freshWS {
					c.WriteMessage(websocket.TextMessage, []byte("2probe"))
					if r.IntN(2) == 0 {
						c.WriteMessage(websocket.TextMessage, []byte("5"))
					}
				}
				c.SetReadDeadline(time.Now().Add(5 * time.Second))
				for range r.IntN(20) {
					if _, _, err := c.ReadMessage(); err != nil {
						break
					}
					if r.IntN(4) == 0 {
						c.WriteMessage(websocket.TextMessage, []byte("4hello"))
					}
				}
				if r.IntN(2) == 0 {
					c.WriteMessage(websocket.TextMessage, []byte("1"))
				}
				c.Close()
			}
		})
	}
	churning.Wait()
	close(stop)
	sending.Wait()
	w.end()
	transport.CloseIdleConnections()
	if n := w.server.poller.Watched(); n != 0 {
		t.Errorf("%d connections are watched", n)
	}
	if n := len(w.server.all()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	// net/http ends its own goroutines and connections in its own time.
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		if openFiles() <= files && runtime.NumGoroutine() <= goroutines {
			return
		}
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d files, %d before; %d goroutines, %d before:\n%s", openFiles(), files,
		runtime.NumGoroutine(), goroutines, buf[:runtime.Stack(buf, true)])
}
