package sio

import (
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// disconnect ends the target's memberships at once, and with DisconnectSession those
// of the same clients in other namespaces; what the wire and the backend learn of
// it follows. It returns those of the target, and how many it ended in all.
func (n *Namespace) disconnect(o Disconnect) (selected []*Socket, all int) {
	why := newEnd(ReasonServerDisconnect, o.Reason)
	if o.Mode == DisconnectTransport {
		why.Reason = string(engineio.ReasonForcedServer)
	}
	ended := n.endSelected(o, why)
	selected = ended
	if o.Mode == DisconnectSession {
		for _, s := range selected {
			ended = append(ended, s.conn.endOthers(n.name, why, o.By)...)
		}
	}
	n.server.retention.evict()
	if o.Mode != DisconnectNamespace {
		for _, s := range selected {
			s.conn.session.CloseWith(engineio.ReasonForcedServer, why.Detail)
		}
	}
	for _, s := range ended {
		s.conn.ended(s, why)
	}
	// The backend may take its time: no reason to let the caller wait.
	n.server.callbacks.Go(func() {
		for _, s := range selected {
			s.conn.reportEnds()
		}
	})
	return selected, len(ended)
}

// endSelected ends the memberships of the target in this namespace, and tells the
// clients, unless they are to come back.
func (n *Namespace) endSelected(o Disconnect, why End) (ended []*Socket) {
	_ = n.deliver(disconnectPacket(n.name), o.To.Selector, func(msgs *messages) { // a packet without data cannot fail
		ended = n.selectLocked(o.To.Selector)
		n.discardOfflineLocked(o.To.Selector)
		for _, s := range ended {
			n.removeLocked(s, why.Reason, o.By)
			if o.Mode != DisconnectTransport {
				s.conn.session.Send(msgs[s.encoding]...)
			}
		}
	})
	return ended
}

func disconnectPacket(namespace string) *outgoing {
	return &outgoing{packet: parser.Packet{Type: parser.Disconnect, Namespace: namespace}}
}

// endOthers ends what the client is, or wants to be, in other namespaces than this
// one, tells it so, and returns the sockets that were members. It waits for no
// backend that the client is held up by.
func (c *conn) endOthers(namespace string, why End, by Actor) (ended []*Socket) {
	for _, p := range c.presence.list() {
		if p.namespace == namespace {
			continue
		}
		msgs, err := disconnectPacket(p.namespace).encode(p.encoding)
		if err != nil {
			continue // a packet without data cannot fail
		}
		switch s := p.socket; {
		case s == nil:
			c.session.Send(msgs...)
		case s.nsp.end(s, why, by, msgs):
			ended = append(ended, s)
		}
	}
	return ended
}

// end ends s's membership, tells its client by msgs, and reports whether s was a
// member.
func (n *Namespace) end(s *Socket, why End, by Actor, msgs []*engineio.Message) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.removeLocked(s, why.Reason, by) {
		return false
	}
	s.conn.session.Send(msgs...)
	return true
}
