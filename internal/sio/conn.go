package sio

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// conn is one browser: an Engine.IO session and the sockets multiplexed over
// it, at most one in each namespace.
type conn struct {
	// Immutable.
	server    *Server
	session   *engineio.Session
	handshake handshake

	rate eventRate // the reader's

	ends     atomic.Pointer[end] // of its sockets; not told yet
	presence presence

	mu      sync.Mutex // serialises what this browser does and what the backend hears of it
	decoder parser.Decoder
	// understood says that a message could be decoded.
	understood bool
	// timeout closes a session that joins nothing; nil: it has joined a namespace.
	timeout *time.Timer
	// assembly closes a session whose packet waits for its attachments for too
	// long; nil: none ever had any.
	assembly *time.Timer
	// sockets holds the socket of each namespace that was joined, nearly always one. One
	// that the server ended stays until the client joins anew: what the client sent
	// before it knew is then ignored instead of closing everything.
	sockets []*Socket
	// requests holds the CONNECT of each namespace that is not answered yet.
	// connecting says for which namespaces a goroutine answers them. Both are few,
	// and nil most of the time.
	requests   []*request
	connecting []string
}

// Receive implements engineio.Receiver: one message, text or attachment.
func (c *conn) Receive(data []byte, binary bool) {
	var complete bool
	c.exclusively(func() { complete = c.receiveLocked(data, binary) })
	if complete {
		c.rate.await(c.session, &c.server.delays)
	}
}

// receiveLocked handles one message. It reports whether that completed a packet.
func (c *conn) receiveLocked(data []byte, binary bool) (complete bool) {
	decode := c.decoder.Text
	if binary {
		decode = c.decoder.Binary
	}
	p, err := decode(data)
	if err != nil {
		if !c.understood && !c.old() && foreign(data, binary) {
			c.refuseParser(data, binary, err)
		} else {
			c.refuse("undecodable packet", err)
		}
		return false
	}
	c.understood = true
	if p == nil {
		if namespace, ok := c.decoder.Begun(); ok {
			c.awaitAttachments(namespace)
		}
		return false
	}
	if len(p.Attachments) > 0 && c.assembly != nil {
		c.assembly.Stop()
	}
	c.packetLocked(p)
	return true
}

// packetLocked handles one packet.
func (c *conn) packetLocked(p *parser.Packet) {
	if p.Type == parser.Connect {
		c.upcast(p)
		c.connect(p)
		return
	}
	if r := c.requestLocked(p.Namespace); r != nil {
		if p.Type == parser.Disconnect {
			c.leaveLocked(p.Namespace, ReasonClientDisconnect)
		} else {
			r.holdLocked(p)
		}
		return
	}
	s := c.socketLocked(p.Namespace)
	if s == nil {
		c.refuse(notJoined, nil)
		return
	}
	c.handleLocked(s, p)
}

// handleLocked handles a packet for a namespace that was joined.
func (c *conn) handleLocked(s *Socket, p *parser.Packet) {
	if s.gone.Load() {
		return
	}
	switch p.Type {
	case parser.Event:
		c.server.counters.received.Add(1)
		name, args := p.Event()
		c.server.backend.Event(s, Event{Name: name, Args: args, Attachments: p.Attachments, AckID: p.ID, WantsAck: p.HasID})
	case parser.Ack:
		c.server.counters.acksReceived.Add(1)
		s.answer(p)
	case parser.Disconnect:
		c.leaveLocked(p.Namespace, ReasonClientDisconnect)
	default: // CONNECT_ERROR is the server's to send
		c.refuse("unexpected packet type", nil)
	}
}

// awaitAttachments bounds the time from the first part of a packet to its last:
// what a packet may hold, a client could otherwise have held for ever
// (GHSA-55mf-67qm-4wpg). For one that has joined nothing, nothing is held at all.
func (c *conn) awaitAttachments(namespace string) {
	timeout := c.server.opts.AttachmentTimeout
	switch {
	case c.socketLocked(namespace) == nil && c.requestLocked(namespace) == nil:
		c.refuse(notJoined, nil)
	case c.assembly == nil:
		c.assembly = time.AfterFunc(timeout, func() { c.session.Close(ReasonAttachmentTimeout) })
	default:
		c.assembly.Reset(timeout)
	}
}

const notJoined = "packet for a namespace that was not joined"

// refuse closes the session over a mistake of its peer.
func (c *conn) refuse(what string, err error) {
	if err != nil {
		what += ": " + err.Error()
	}
	c.session.CloseWith(engineio.ReasonParseError, what)
}

// Closed implements engineio.Receiver.
func (c *conn) Closed(reason engineio.Reason) {
	why := newEnd(string(reason), c.session.Detail())
	c.logMistake(why)
	c.exclusively(func() { c.closedLocked(why) })
}

// logMistake logs that the session was closed over what its peer did, if it was. A
// transport that just ended has no detail.
func (c *conn) logMistake(why End) {
	msg := "a session was closed over a mistake of its peer"
	switch why.Reason {
	case ReasonParseError, ReasonSlowConsumer, ReasonConnectTimeout, ReasonPendingLimit, ReasonAttachmentTimeout, ReasonConnectOverflow:
	case ReasonTransportError:
		if why.Detail == "" {
			return
		}
		msg = "a session's transport failed"
	default:
		return
	}
	c.server.log.Debug(msg, "remote", c.handshake.remoteAddr, "reason", why.Reason, "error", why.Detail)
}

func (c *conn) closedLocked(why End) {
	c.stopTimeoutLocked()
	if c.assembly != nil {
		c.assembly.Stop()
	}
	c.decoder.Reset()
	for _, r := range slices.Clone(c.requests) {
		r.withdrawLocked(why)
	}
	for _, s := range c.sockets {
		if s.nsp.remove(s, why.Reason) {
			c.reportEndLocked(s, why)
		}
	}
	c.sockets = nil
}

// socketLocked returns the socket of a namespace that was joined, nil: it was not.
func (c *conn) socketLocked(namespace string) *Socket {
	for _, s := range c.sockets {
		if s.nsp.name == namespace {
			return s
		}
	}
	return nil
}

// putLocked has s take the place of the socket of its namespace, if there is one.
func (c *conn) putLocked(s *Socket) {
	for i, before := range c.sockets {
		if before.nsp.name == s.nsp.name {
			c.sockets[i] = s
			return
		}
	}
	c.sockets = append(c.sockets, s)
}

func (c *conn) stopTimeoutLocked() {
	if c.timeout != nil {
		c.timeout.Stop()
		c.timeout = nil
	}
}
