package sio

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// maxJoined bounds the namespaces of one session, those it left unwillingly
// included: patterns let any client make up any number.
const maxJoined = 100

// connect takes a CONNECT packet. A second one to a namespace replaces the first,
// as if the client had left in between; the reference closes the session then
// (socket.io/lib/client.ts, connect), over what pages do that connect, leave and
// connect again in one go. The caller holds c.mu.
func (c *conn) connect(p *parser.Packet) {
	name := p.Namespace
	if c.socketLocked(name) == nil && !slices.Contains(c.connecting, name) && c.namespacesLocked() >= maxJoined {
		c.reply(name, &Refusal{Message: MessageTooManyNamespaces})
		return
	}
	c.leaveLocked(name, ReasonReplaced)
	if !c.server.namespaces.possible(name) {
		c.reply(name, errInvalidNamespace)
		return
	}
	r := &request{conn: c, name: name, auth: p.Data, encoding: c.decoder.Encoding(), since: time.Now()}
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	c.requests = append(c.requests, r)
	c.presence.request(name, r.encoding)
	if !slices.Contains(c.connecting, name) {
		c.connecting, r.taken = append(c.connecting, name), true
		c.server.callbacks.Go(r.answerAll)
	}
}

// namespacesLocked counts the namespaces that the client is in, or wants to be.
func (c *conn) namespacesLocked() int {
	n := len(c.sockets)
	for _, name := range c.connecting {
		if c.socketLocked(name) == nil {
			n++
		}
	}
	return n
}

// leaveLocked ends what the client is in a namespace, or wants to be.
func (c *conn) leaveLocked(namespace, reason string) {
	why := End{Reason: reason}
	if r := c.requestLocked(namespace); r != nil {
		r.withdrawLocked(why)
	}
	if s := c.socketLocked(namespace); s != nil && s.nsp.remove(s, reason) {
		c.sockets = without(c.sockets, s)
		c.reportEndLocked(s, why)
	}
}

// fail answers a CONNECT that failed. What somebody decided is final, and said.
// What may pass is not said if nothing is lost by it: stock clients stay away
// after a CONNECT_ERROR, and come back by themselves when the transport closes.
// The caller holds c.mu.
func (c *conn) fail(namespace string, err error) {
	if passing(err) && !c.inNamespaceLocked() {
		c.session.Close(ReasonUnavailable)
		return
	}
	c.reply(namespace, refusal(err))
}

// inNamespaceLocked reports whether the client is in any namespace.
func (c *conn) inNamespaceLocked() bool {
	for _, s := range c.sockets {
		if !s.gone.Load() {
			return true
		}
	}
	return false
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
