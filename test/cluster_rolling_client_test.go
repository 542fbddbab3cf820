package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// rollingClient is a WebSocket client that comes back as the stock one does, to the next
// node each time, and says who it was.
type rollingClient struct {
	rolling *rolling
	next    int
	slow    bool // to come back
	in      atomic.Bool

	mu            sync.Mutex
	conn          *websocket.Conn // nil: none
	id            string          // of its connection
	pid, offset   string
	numbers       map[string][]int // by caller
	since         time.Time        // of the first CONNECT's answer
	heard         time.Time        // of the latest event
	away          []span           // when it may have missed something
	returns, anew int
	faults        []string
}

func (c *rollingClient) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		pause := stockBackOff(failures)
		if c.session(ctx) {
			if failures, pause = 0, stockBackOff(0); c.slow {
				pause += rollingSlow
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// session is one session; it reports whether there was one.
func (c *rollingClient) session(ctx context.Context) (opened bool) {
	at := c.rolling.at(c.next)
	c.next++
	dialer := websocket.Dialer{HandshakeTimeout: stockTimeout, ReadBufferSize: 256, WriteBufferSize: 256, WriteBufferPool: writeBuffers}
	conn, res, err := dialer.DialContext(ctx, "ws://"+at.listen+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return false
	}
	_ = res.Body.Close() // the dialer has left nothing in it
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer c.in.Store(false)
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	for {
		_, packet, err := conn.ReadMessage()
		if err != nil {
			return opened
		}
		answer := ""
		switch s := string(packet); {
		case s == "2":
			answer = "3"
		case strings.HasPrefix(s, "0"):
			opened, answer = true, "40"+c.claim()
		case strings.HasPrefix(s, "40"):
			c.connected(s[2:])
		case strings.HasPrefix(s, "42"):
			c.take(s[2:])
		default:
			c.fault("received %q", s)
			return opened
		}
		if answer != "" && conn.WriteMessage(websocket.TextMessage, []byte(answer)) != nil {
			return opened
		}
	}
}

// cut ends what the client is connected by, if it is connected.
func (c *rollingClient) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || !c.in.Load() {
		return false
	}
	_ = c.conn.NetConn().Close()
	c.conn = nil
	return true
}

// renewed reports whether it was ever somebody new, and so left its rooms.
func (c *rollingClient) renewed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anew > 0
}

// connection is the id of its latest connection.
func (c *rollingClient) connection() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

func (c *rollingClient) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// claim is what the client says that it was.
func (c *rollingClient) claim() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == "" {
		return ""
	}
	said := map[string]string{"pid": c.pid}
	if c.offset != "" {
		said["offset"] = c.offset
	}
	text, _ := json.Marshal(said) // strings cannot fail
	return string(text)
}

func (c *rollingClient) connected(reply string) {
	var said struct{ SID, PID string }
	if err := json.Unmarshal([]byte(reply), &said); err != nil {
		c.fault("CONNECT was answered %q", reply)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.since.IsZero():
		c.since, c.heard = now, now
	case said.PID != "" && said.PID == c.pid:
		c.returns++
	default:
		c.anew++
		c.away = append(c.away, span{c.heard.Add(-rollingInFlight), now})
	}
	c.id, c.pid = said.SID, said.PID
	c.in.Store(true)
}

// take notes an event.
func (c *rollingClient) take(text string) {
	var event, caller, offset string
	var number int
	args := []any{&event, &caller, &number, &offset}
	if err := json.Unmarshal([]byte(text), &args); err != nil || len(args) < 3 {
		c.fault("received the event %q: %v", text, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = time.Now()
	c.numbers[caller] = append(c.numbers[caller], number)
	if offset != "" {
		c.offset = offset
	}
}

// has reports whether the client has the last emit of all.
func (c *rollingClient) has(callers []*rollingCaller) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, caller := range callers {
		n := c.numbers[caller.name]
		if len(n) == 0 || n[len(n)-1] != len(caller.sent) {
			return false
		}
	}
	return true
}

// judge returns how many emits of a caller the client has missed. What comes twice, or out
// of order, or was sent while it was there and missed all the same, is an error.
func (c *rollingClient) judge(t *testing.T, i int, caller *rollingCaller) (missed int) {
	want := 1
	for _, number := range c.numbers[caller.name] {
		if number < want {
			t.Errorf("client %d: %s %d came after %d", i, caller.name, number, want-1)
			continue
		}
		for ; want < number; want++ {
			missed++
			if s := caller.sent[want-1]; !c.wasAway(s) {
				t.Errorf("client %d missed %s %d, sent from %v to %v, and was away: %v", i, caller.name, want, s.from, s.to, c.away)
			}
		}
		want++
	}
	return missed
}

// wasAway reports whether the client may have been away at some time of a span.
func (c *rollingClient) wasAway(s span) bool {
	for _, a := range c.away {
		if s.from.Before(a.to) && s.to.After(a.from) {
			return true
		}
	}
	return false
}
