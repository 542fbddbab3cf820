package test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// overPolling opens a session by polling; listening: it polls from now on.
func (m *metricsTest) overPolling(listening bool) *countingClient {
	m.Helper()
	c := m.newClient()
	c.p = m.polling()
	body, err := c.p.do(http.MethodGet, "EIO=4&transport=polling", nil)
	if err != nil {
		m.Fatal(err)
	}
	if c.p.sid, err = sessionID(body); err != nil {
		m.Fatal(err)
	}
	m.packet("sent", "polling", body, false)
	m.opened("polling")
	if listening {
		c.listen()
	}
	return c
}

// listen has a polling client poll.
func (c *countingClient) listen() {
	c.polls.Store(true)
	go c.readPolls()
}

// readPolls polls until it is to stop, or the session is gone.
func (c *countingClient) readPolls() {
	over := c.ended
	defer func() { close(over) }()
	for c.polls.Load() {
		if c.poll() {
			return
		}
	}
	over = c.paused
}

// poll is one poll. It reports whether the session is over.
func (c *countingClient) poll() (over bool) {
	c.Helper()
	body, err := c.p.get()
	if refused := (errStatus{}); errors.As(err, &refused) && refused.status == http.StatusBadRequest {
		c.count("fanoutd_refused_total", "reason", "unknown-session")
		return true
	}
	if err != nil {
		c.Errorf("a poll: %v", err)
		return true
	}
	for packet := range strings.SplitSeq(body, "\x1e") {
		encoded, binary := strings.CutPrefix(packet, "b")
		if binary {
			data, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				c.Errorf("a poll: %v", err)
			}
			packet = string(data)
		}
		c.packet("sent", "polling", packet, binary)
		switch {
		case binary:
		case packet == "1":
			over = true
		default:
			c.take(packet)
		}
	}
	return over
}

// upgrade goes on by WebSocket.
func (c *countingClient) upgrade() {
	c.Helper()
	c.polls.Store(false)
	w, err := c.candidate("&sid=" + c.p.sid)
	if err != nil {
		c.Fatal(err)
	}
	c.packet("received", "websocket", "2probe", false)
	err = w.say("2probe")
	answer := ""
	if err == nil {
		answer, err = w.hear()
	}
	if err != nil || answer != "3probe" {
		c.Fatalf("the probe was answered %q, %v", answer, err)
	}
	c.packet("sent", "websocket", answer, false)
	select {
	case <-c.paused:
	case <-c.ctx.Done():
		c.Fatal("the last poll does not end")
	}
	c.writing.Lock()
	c.w = w
	c.sayLocked("5")
	c.writing.Unlock()
	c.count("fanoutd_upgrades_total", "transport", "websocket")
	c.add(-1, "fanoutd_sessions", "transport", "polling")
	c.count("fanoutd_sessions", "transport", "websocket")
	go c.readSocket()
}
