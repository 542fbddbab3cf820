package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// poller is a client by long polling, over one connection.
type poller struct {
	conn net.Conn
	in   *bufio.Reader
	path string
}

// poll makes a GET, or with a body a POST, and returns what is answered.
func (c *poller) poll(body string) (string, error) {
	request := "GET " + c.path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if body != "" {
		request = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", c.path, len(body), body)
	}
	if _, err := io.WriteString(c.conn, request); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return string(b), err
}

// dialPoller opens a session and joins the default namespace.
func dialPoller(ctx context.Context, address string) (*poller, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &poller{conn: conn, in: bufio.NewReaderSize(conn, 1024), path: "/socket.io/?EIO=4&transport=polling"}
	open, err := c.poll("")
	_, id, ok := strings.Cut(open, `"sid":"`)
	if id, _, _ = strings.Cut(id, `"`); err == nil && !ok {
		err = fmt.Errorf("no session: %q", open)
	}
	if err == nil {
		c.path += "&sid=" + id
		_, err = c.poll("40")
	}
	if err == nil {
		_, err = c.poll("")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// pollers is of clients that poll, each for an event and then for the next. A poll is one
// request: a GET that an emit answers.
func (s scale) pollers(ctx context.Context, c *contestant, _ protocol, _, _ bool, out map[string]float64) error {
	p, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	clients := make([]*poller, s.polls)
	for i := range clients {
		if clients[i], err = dialPoller(ctx, p.addresses[0]); err != nil {
			return err
		}
		defer clients[i].conn.Close()
	}
	if err := p.joined(ctx); err != nil {
		return err
	}
	var events, polls atomic.Int64
	var polling sync.WaitGroup
	for _, c := range clients {
		polling.Go(func() {
			for {
				b, err := c.poll("")
				if err != nil {
					return
				}
				polls.Add(1)
				events.Add(int64(strings.Count(b, eventHead)))
			}
		})
	}
	used, err := cpu([]int{p.daemon})
	if err != nil {
		return err
	}
	sent := 0
	for end := time.Now().Add(2 * s.window); time.Now().Before(end); sent++ {
		if err := p.emit(ctx, 1, payload()); err != nil {
			return err
		}
		for want, deadline := int64((sent+1)*s.polls), time.Now().Add(10*time.Second); events.Load() < want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return fmt.Errorf("%d events by polls, want %d", events.Load(), want)
			}
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil { // until all poll again
			return err
		}
	}
	now, err := cpu([]int{p.daemon})
	if err != nil {
		return err
	}
	out["poll"] = micros(now-used) / float64(polls.Load())
	for _, c := range clients {
		c.conn.Close()
	}
	polling.Wait()
	return nil
}
