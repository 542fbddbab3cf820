package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// client is one Socket.IO client over WebSocket, as cheap as it gets: it reads
// frames, counts the events among them and answers pings.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	acks chan struct{} // an answer to an echo came
}

// dial opens a session and joins the default namespace.
func dial(ctx context.Context, address string) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, in: bufio.NewReaderSize(conn, 1024), acks: make(chan struct{}, 1)}
	fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", address)
	status, err := c.in.ReadString('\n')
	if err == nil && !strings.Contains(status, " 101 ") {
		err = fmt.Errorf("got %q", status)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	for line := ""; line != "\r\n"; {
		if line, err = c.in.ReadString('\n'); err != nil {
			conn.Close()
			return nil, err
		}
	}
	for _, step := range []struct{ want, say string }{{"0{", "40"}, {"40{", ""}} {
		frame, err := c.read()
		if err == nil && string(frame) == "2" { // some ping before anything else
			c.say("3")
			frame, err = c.read()
		}
		if err == nil && !strings.HasPrefix(string(frame), step.want) {
			err = fmt.Errorf("got %q", frame)
		}
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("waiting for %s: %w", step.want, err)
		}
		if step.say != "" {
			c.say(step.say)
		}
	}
	return c, nil
}

// say sends a text frame, masked with zeros. That the connection has ended the next read tells.
func (c *client) say(text string) {
	b := []byte{0x81}
	if n := len(text); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	_, _ = c.conn.Write(append(append(b, 0, 0, 0, 0), text...))
}

// read returns the payload of the next frame; it is good until the next call.
func (c *client) read() ([]byte, error) {
	head, err := c.in.Peek(2)
	if err != nil {
		return nil, err
	}
	size, skip := int(head[1]), 2
	if size == 126 {
		if head, err = c.in.Peek(4); err != nil {
			return nil, err
		}
		size, skip = int(binary.BigEndian.Uint16(head[2:])), 4
	}
	if size+skip > c.in.Size() {
		return nil, errors.New("a frame larger than the benchmark sends")
	}
	frame, err := c.in.Peek(skip + size)
	if err != nil {
		return nil, err
	}
	_, _ = c.in.Discard(skip + size) // peeked, so it is there
	return frame[skip:], nil
}

// What every server has to send, to the byte: an answer or an event that
// differs does not count, and its measurement ends with an error.
const (
	echoed    = `431["0123456789"]`
	eventHead = `42["m","`
)

// listen counts events until the connection ends.
func (c *client) listen(events *atomic.Int64, latency func(time.Duration)) {
	for {
		frame, err := c.read()
		if err != nil {
			return
		}
		switch {
		case len(frame) == 1 && frame[0] == '2':
			c.say("3")
		case string(frame) == echoed:
			c.acks <- struct{}{}
		case len(frame) == len(eventHead)+payloadSize+len(`"]`) && strings.HasPrefix(string(frame[:len(eventHead)]), eventHead):
			if latency != nil {
				latency(sentAgo(frame))
			}
			events.Add(1)
		}
	}
}

// sentAgo reads the time that stands, in nanoseconds, at the payload's start:
// 42["m","T<19 digits>...
func sentAgo(frame []byte) time.Duration {
	const at = len(eventHead + "T")
	var ns int64
	for _, d := range frame[at : at+19] {
		ns = ns*10 + int64(d-'0')
	}
	return time.Duration(time.Now().UnixNano() - ns)
}

// echo sends an event that asks for an ack and waits for it.
func (c *client) echo(ctx context.Context) error {
	c.say(`421["echo","0123456789"]`)
	select {
	case <-c.acks:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
