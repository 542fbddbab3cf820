package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// chaosBrowser is a browser that has gone, and what it did.
type chaosBrowser struct {
	id       string
	sent     int    // events
	farewell string // the reason of its end, if everything was read before that; empty: it was cut off
}

// chaosBrowsers are all that there were.
type chaosBrowsers struct {
	namespace string // as packets begin with it: "" or "/name,"

	mu  sync.Mutex
	all []*chaosBrowser
}

// come has browsers come and go, one after the other, until running ends.
func (l *chaosBrowsers) come(ctx, running context.Context, t *testing.T, address string, r *rand.Rand) {
	for running.Err() == nil {
		b, err := visit(ctx, running, address, l.namespace, r)
		if err != nil {
			t.Errorf("a browser: %v", err)
			return
		}
		l.mu.Lock()
		l.all = append(l.all, b)
		l.mu.Unlock()
	}
}

// visit is one browser from its coming to its going.
func visit(ctx, running context.Context, address, namespace string, r *rand.Rand) (*chaosBrowser, error) {
	c, err := joinSwarmIn(ctx, &websocket.Dialer{}, address, namespace)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	b := &chaosBrowser{id: c.id}
	var writing sync.Mutex
	say := func(text string) error {
		writing.Lock()
		defer writing.Unlock()
		return c.conn.WriteMessage(websocket.TextMessage, []byte(text))
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer c.conn.Close()
	reading.Go(func() {
		for {
			_, packet, err := c.conn.ReadMessage()
			if err != nil {
				return
			}
			if string(packet) == "2" {
				_ = say("3") // an error means that the connection has ended
			}
		}
	})
	stay := time.After(time.Duration(r.Int64N(int64(chaosStay))))
	for {
		select {
		case <-time.After(time.Duration(r.Int64N(int64(2 * chaosPause)))):
		case <-stay:
			return b, b.leave(c.conn, say, namespace, r.IntN(4))
		case <-running.Done():
			return b, b.leave(c.conn, say, namespace, r.IntN(4))
		}
		args := fmt.Sprint(b.sent + 1)
		if r.IntN(chaosPoison) == 0 {
			args += "," + poison
		}
		if err := say(fmt.Sprintf(`42%s[%q,%s,%q]`, namespace, chaosEvents[r.IntN(len(chaosEvents))], args, strings.Repeat("x", r.IntN(200)))); err != nil {
			return b, nil // it was closed
		}
		b.sent++
	}
}

// leave ends the connection in one of the ways there are.
func (b *chaosBrowser) leave(conn *websocket.Conn, say func(string) error, namespace string, how int) error {
	switch how {
	case 0: // as socket.disconnect() does
		if say("41"+namespace) == nil {
			b.farewell = "client namespace disconnect"
		}
	case 1: // as a browser's tab that closes
		b.farewell = "transport close"
		return conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(time.Minute))
	case 2: // a reset
		return conn.NetConn().(*net.TCPConn).SetLinger(0)
	}
	return nil
}
