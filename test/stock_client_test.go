package test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Defaults of the stock client's manager (socket.io-client/lib/manager.ts).
const (
	stockReconnectionDelay    = time.Second
	stockReconnectionDelayMax = 5 * time.Second
	stockRandomization        = 0.5
	stockTimeout              = 20 * time.Second
)

// stockClient is a WebSocket client that comes back as the stock one does: it tries
// again by its back-off when it cannot open a session or its transport closes, and
// stays away after a CONNECT_ERROR.
type stockClient struct {
	// Fixed at birth.
	address string
	auth    string // a JSON object

	mu      sync.Mutex
	in      bool   // in the default namespace now
	wasIn   bool   // at any time
	refused string // the CONNECT_ERROR that keeps it away
	tries   int    // sessions that it wanted to open
}

// run connects and comes back until ctx ends or the client has to stay away.
func (c *stockClient) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		opened, stay := c.session(ctx)
		if stay {
			return
		}
		if opened { // which the manager takes for a success, whatever follows
			failures = 0
		}
		select {
		case <-time.After(stockBackOff(failures)):
		case <-ctx.Done():
		}
	}
}

// stockBackOff is the pause after so many failures (socket.io-client/lib/contrib/backo2.ts).
func stockBackOff(failures int) time.Duration {
	d := float64(stockReconnectionDelay << min(failures, 10))
	d *= 1 + stockRandomization*(2*rand.Float64()-1)
	return min(time.Duration(d), stockReconnectionDelayMax)
}

// session is one session from its handshake to its end. opened tells that there was
// one, stay that the client is not to come back.
func (c *stockClient) session(ctx context.Context) (opened, stay bool) {
	c.mu.Lock()
	c.tries++
	c.mu.Unlock()
	dialer := websocket.Dialer{HandshakeTimeout: stockTimeout, ReadBufferSize: 256, WriteBufferSize: 256, WriteBufferPool: writeBuffers}
	conn, res, err := dialer.DialContext(ctx, "ws://"+c.address+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return false, false
	}
	_ = res.Body.Close() // the dialer has left nothing in it
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.in = false
	}()
	for {
		_, packet, err := conn.ReadMessage()
		if err != nil {
			return opened, false
		}
		answer := ""
		switch s := string(packet); {
		case s == "2":
			answer = "3"
		case strings.HasPrefix(s, "0"):
			opened, answer = true, "40"+c.auth
		case strings.HasPrefix(s, "40"):
			c.mu.Lock()
			c.in, c.wasIn = true, true
			c.mu.Unlock()
		case strings.HasPrefix(s, "44"):
			c.mu.Lock()
			c.refused = s
			c.mu.Unlock()
			return true, true
		case strings.HasPrefix(s, "41"):
			return true, true
		}
		if answer != "" && conn.WriteMessage(websocket.TextMessage, []byte(answer)) != nil {
			return opened, false
		}
	}
}

// state returns what became of the client so far.
func (c *stockClient) state() (in, wasIn bool, refused string, tries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in, c.wasIn, c.refused, c.tries
}
