package sio

import (
	"encoding/json"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// maxJoined bounds the namespaces of one session, those it left unwillingly
// included: patterns let a stranger make up any number.
const maxJoined = 100

// connect answers a CONNECT packet.
func (c *conn) connect(p *parser.Packet) {
	if s := c.sockets[p.Namespace]; s != nil && !s.gone.Load() {
		c.refuse("second CONNECT to a namespace", nil)
		return
	}
	if len(c.sockets) >= maxJoined && c.sockets[p.Namespace] == nil {
		c.reply(p.Namespace, &Refusal{Message: "too many namespaces"})
		return
	}
	n, refusal := c.server.namespaces.acquire(p.Namespace)
	if refusal != nil {
		c.reply(p.Namespace, refusal)
		return
	}
	if n.recovery != nil {
		if o, offset := n.recovery.claim(p.Data, c.session.Done()); o != nil && c.recoverSocket(n, o, offset, p.Data) {
			return
		}
	}
	s := newSocket(n, c)
	admission, ok := c.admit(s, p.Data)
	if !ok {
		return
	}
	n.add(s, admission)
	c.joined(s)
}

// recoverSocket answers a client that wants to come back as o. It is false if that
// cannot be, and the client is to be connected anew.
func (c *conn) recoverSocket(n *Namespace, o *offlineSession, offset uint64, auth []byte) bool {
	s := newSocket(n, c)
	s.id, s.pid, s.recovering, s.recovered, s.number = o.id, o.pid, o, true, o.number
	admission, ok := c.admit(s, auth)
	if !ok {
		return true
	}
	if admission.User == o.user && n.recovery.resume(s, o, offset, admission) {
		c.joined(s)
		return true
	}
	c.server.backend.Disconnected(s, ReasonNotRecovered)
	n.recovery.unclaim(o, s.number)
	return false
}

// admit asks the backend whether s may join. If not, or if the session closed
// meanwhile, nothing is left of it, and everybody has been told.
func (c *conn) admit(s *Socket, auth []byte) (*Admission, bool) {
	admission, err := c.server.backend.Connecting(s, auth)
	if err != nil {
		c.abandonConnect(s)
		c.reply(s.nsp.name, refusal(err))
		return nil, false
	}
	select {
	case <-c.session.Done():
		// Closed while it was being decided: it never became a member.
		c.server.backend.Disconnected(s, string(c.session.Reason()))
		c.abandonConnect(s)
		return nil, false
	default:
	}
	return &admission, true
}

// abandonConnect gives up what s held in order to join.
func (c *conn) abandonConnect(s *Socket) {
	if s.recovering != nil {
		s.nsp.recovery.unclaim(s.recovering, s.number)
	}
	c.server.namespaces.release(s.nsp)
}

// joined notes that s is a member.
func (c *conn) joined(s *Socket) {
	c.timeout.Stop()
	c.session.Settle()
	c.sockets[s.nsp.name] = s
	c.server.backend.Connected(s)
}

// reply sends a CONNECT_ERROR.
func (c *conn) reply(namespace string, r *Refusal) {
	for _, data := range []json.RawMessage{r.Data, nil} {
		text, err := json.Marshal(struct {
			Message string          `json:"message"`
			Data    json.RawMessage `json:"data,omitempty"`
		}{r.Message, data})
		if err != nil {
			continue // data that is no JSON
		}
		if msgs := c.encode(parser.ConnectError, namespace, text); msgs != nil {
			c.session.Send(msgs...)
			return
		}
	}
}

// encode encodes a packet as this client reads it, nil if data is no JSON that
// clients bear.
func (c *conn) encode(t parser.Type, namespace string, data []byte) []*engineio.Message {
	out := outgoing{packet: parser.Packet{Type: t, Namespace: namespace, Data: c.downcast(t, data)}}
	msgs, err := out.encode(c.decoder.Encoding())
	if err != nil {
		return nil
	}
	return msgs
}
