package test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// countingClient is a Socket.IO client that counts what it sends and receives. One goroutine of
// its own reads, the test writes.
type countingClient struct {
	*metricsTest
	p       *polling      // nil: it began with a WebSocket
	mute    atomic.Bool   // it answers no pings
	polls   atomic.Bool   // and is to stop that after the poll under way
	paused  chan struct{} // closed when it polls no more, since it is to change over
	ended   chan struct{} // closed when its session is over
	answers chan string   // to CONNECT, as they come: the namespace, or an error
	nextAck atomic.Int64

	writing sync.Mutex
	w       *rawSocket // nil: it polls; changed under writing, and before it is read from

	mu     sync.Mutex
	joined map[string]string // ids, by namespace
	events int               // heard
	acks   int               // likewise
}

// transportLocked is what carries the client.
func (c *countingClient) transportLocked() string {
	if c.w != nil {
		return "websocket"
	}
	return "polling"
}

func (m *metricsTest) newClient() *countingClient {
	return &countingClient{
		metricsTest: m, paused: make(chan struct{}), ended: make(chan struct{}), answers: make(chan string, 10), joined: map[string]string{},
	}
}

// overWebSocket opens a session by WebSocket.
func (m *metricsTest) overWebSocket() *countingClient {
	m.Helper()
	c := m.newClient()
	w, err := m.candidate("")
	if err != nil {
		m.Fatal(err)
	}
	c.w = w
	m.opened("websocket")
	go c.readSocket()
	return c
}

func (m *metricsTest) opened(transport string) {
	m.count("fanoutd_sessions_opened_total", "transport", transport)
	m.count("fanoutd_sessions", "transport", transport)
}

// candidate opens a WebSocket.
func (m *metricsTest) candidate(query string) (*rawSocket, error) {
	conn, err := m.dial()
	if err != nil {
		return nil, err
	}
	w := &rawSocket{conn, bufio.NewReader(conn)}
	m.Cleanup(func() { _ = w.Close() })
	return w, w.handshake(m.listen, query, nil)
}

// readSocket reads a WebSocket to its end.
func (c *countingClient) readSocket() {
	defer close(c.ended)
	for {
		opcode, payload, err := c.w.frame()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.Errorf("a WebSocket ended with %v", err)
			}
			return
		}
		switch opcode {
		case frameText:
			c.packet("sent", "websocket", string(payload), false)
			c.take(string(payload))
		case frameBinary:
			c.packet("sent", "websocket", string(payload), true)
		case frameClose:
			_ = c.w.CloseWrite() // the daemon waits for it
		}
	}
}

// take handles a packet.
func (c *countingClient) take(packet string) {
	switch {
	case packet == "2" && !c.mute.Load():
		c.say("3")
	case packet[0] == '4':
		c.takeMessage(packet[1:])
	}
}

// takeMessage handles a packet of Socket.IO.
func (c *countingClient) takeMessage(packet string) {
	kind, rest := packet[0], packet[1:]
	if kind == '5' || kind == '6' {
		_, rest, _ = strings.Cut(rest, "-")
	}
	namespace := "/"
	if strings.HasPrefix(rest, "/") {
		namespace, rest, _ = strings.Cut(rest, ",")
	}
	id := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case '0':
		var answer struct {
			SID string `json:"sid"`
		}
		if err := json.Unmarshal([]byte(rest), &answer); err != nil {
			c.Errorf("a CONNECT was answered %q", packet)
		}
		c.joined[namespace] = answer.SID
		c.count("fanoutd_connections_opened_total")
		c.count("fanoutd_connections")
		c.count("fanoutd_admissions_total", "outcome", "admitted")
		c.happened(namespace)
		c.answers <- namespace
	case '1':
		c.leftLocked(namespace, "server namespace disconnect")
	case '2', '5':
		c.events++
		c.count("fanoutd_events_sent_total")
		if id != "" {
			c.count("fanoutd_acks_received_total")
			go c.say("43" + suffix(namespace) + id + `["here"]`) // what reads does not wait
		}
	case '3', '6':
		c.acks++
		c.count("fanoutd_acks_sent_total")
	case '4':
		c.answers <- "error " + rest
	}
}

// suffix is how a namespace stands in a packet.
func suffix(namespace string) string {
	if namespace == "/" {
		return ""
	}
	return namespace + ","
}

// left counts the end of a connection.
func (c *countingClient) leftLocked(namespace, reason string) {
	if _, ok := c.joined[namespace]; !ok {
		return
	}
	delete(c.joined, namespace)
	c.count("fanoutd_connections_closed_total", "reason", reason)
	c.add(-1, "fanoutd_connections")
	c.happened(namespace)
}

// say sends packets, of which "b…" is binary.
func (c *countingClient) say(packets ...string) {
	c.Helper()
	c.writing.Lock()
	defer c.writing.Unlock()
	c.sayLocked(packets...)
}

func (c *countingClient) sayLocked(packets ...string) {
	c.Helper()
	var frames []byte
	payload := make([]string, len(packets))
	for i, packet := range packets {
		data, binary := strings.CutPrefix(packet, "b")
		c.packet("received", c.transportLocked(), data, binary)
		if binary {
			frames = appendFrame(frames, frameFinal|frameBinary, []byte(data))
			payload[i] = "b" + base64.StdEncoding.EncodeToString([]byte(data))
		} else {
			frames = append(frames, text(packet)...)
			payload[i] = packet
		}
	}
	var err error
	if c.w != nil {
		_, err = c.w.Write(frames)
	} else {
		err = c.p.post(strings.Join(payload, "\x1e"))
	}
	if err != nil {
		c.Errorf("saying %.60q: %v", packets, err)
	}
}

// ask asks to join a namespace, with a token of the user.
func (c *countingClient) ask(namespace, user string) *countingClient {
	c.Helper()
	c.say("40" + suffix(namespace) + fmt.Sprintf(`{"token":%q}`, c.token(user)))
	return c
}

// join joins a namespace with a token of the user, and returns the answer.
func (c *countingClient) join(namespace, user string) string {
	c.Helper()
	c.ask(namespace, user)
	select {
	case answer := <-c.answers:
		return answer
	case <-c.ctx.Done():
		c.Fatalf("CONNECT to %s was not answered", namespace)
		return ""
	}
}

// enter joins namespaces, and fails the test if it is not let in.
func (c *countingClient) enter(namespaces ...string) *countingClient {
	c.Helper()
	for _, namespace := range namespaces {
		if answer := c.join(namespace, "somebody"); answer != namespace {
			c.Fatalf("CONNECT to %s was answered %q", namespace, answer)
		}
	}
	return c
}

func (c *countingClient) id(namespace string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joined[namespace]
}

// emit sends an event; ack: it asks for an answer.
func (c *countingClient) emit(namespace, event string, ack bool) {
	c.Helper()
	id := ""
	if ack {
		id = strconv.Itoa(int(c.nextAck.Add(1)))
	}
	c.count("fanoutd_events_received_total")
	c.happened(namespace)
	c.say("42" + suffix(namespace) + id + `["` + event + `"]`)
}

// emitBinary sends an event with an attachment.
func (c *countingClient) emitBinary(namespace string, data string) {
	c.Helper()
	c.count("fanoutd_events_received_total")
	c.happened(namespace)
	c.say("451-"+suffix(namespace)+`["binary",{"_placeholder":true,"num":0}]`, "b"+data)
}

// over waits for the client's end, and counts its session and connections as closed for
// this reason.
func (c *countingClient) over(reason string) {
	c.Helper()
	select {
	case <-c.ended:
	case <-c.ctx.Done():
		c.Errorf("a client did not end: %s", reason)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for namespace := range c.joined {
		c.leftLocked(namespace, reason)
	}
	c.count("fanoutd_sessions_closed_total", "reason", reason)
	c.add(-1, "fanoutd_sessions", "transport", c.transportLocked())
}

// leave leaves a namespace.
func (c *countingClient) leave(namespace string) {
	c.say("41" + suffix(namespace))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leftLocked(namespace, "client namespace disconnect")
}

// close closes the session.
func (c *countingClient) close() {
	c.Helper()
	c.say("1")
	if c.w != nil {
		_ = c.w.CloseWrite() // as stock clients do
	}
	c.over("transport close")
}

// heard returns how many events came, and how many answers to the client's own.
func (c *countingClient) heard() (events, acks int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events, c.acks
}
