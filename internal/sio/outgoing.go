package sio

import (
	"fmt"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// encodings are the ways of writing a packet, and messages a packet in each of
// them: nil where nobody needed it so far.
const encodings = 2

type messages [encodings][]*engineio.Message

// any returns the packet in one of its encodings: they are about as long.
func (m *messages) any() []*engineio.Message {
	if m[parser.JSON] != nil {
		return m[parser.JSON]
	}
	return m[parser.MessagePack]
}

// outgoing is one packet on its way to any number of sockets, encoded at most
// once for each encoding that one of them reads.
type outgoing struct {
	packet parser.Packet // of an event that is emitted, without its data
	event  string        // not empty: an event that is emitted, with these arguments
	args   []byte
	offset string // not empty: added to the arguments
	plain  bool   // not worth compressing
	key    string // not empty: by what it replaces an event that waits; see [Emit.ConflateKey]
	limit  int    // bytes that the messages may have together; 0: any
}

// encode returns the packet's messages: its text and each attachment, or all in
// one. It takes time, so it is called under no lock.
func (o *outgoing) encode(e parser.Encoding) ([]*engineio.Message, error) {
	var msgs []*engineio.Message
	if e == parser.MessagePack {
		p := o.packet
		if o.event != "" {
			p.Data = parser.AppendEventData(nil, o.event, o.args)
			if o.offset != "" {
				p.Data = parser.AddArgument(p.Data, o.offset)
			}
		}
		packed, err := parser.AppendMessagePack(nil, &p)
		if err != nil {
			return nil, fmt.Errorf("event %.64q: %w", o.event, err)
		}
		msgs = []*engineio.Message{engineio.Binary(packed)}
	} else {
		var text []byte
		if o.event != "" {
			text = parser.AppendEvent(nil, &o.packet, o.event, o.args)
			if o.offset != "" {
				text = parser.AddArgument(text, o.offset)
			}
		} else {
			text = parser.AppendText(nil, &o.packet)
		}
		msgs = make([]*engineio.Message, 1, 1+len(o.packet.Attachments))
		msgs[0] = engineio.Text(text)
		for _, a := range o.packet.Attachments {
			msgs = append(msgs, engineio.Binary(a))
		}
	}
	if o.limit > 0 && !engineio.Fits(o.limit, msgs...) {
		return nil, ErrTooLarge
	}
	if o.key != "" {
		engineio.Conflate(o.packet.Namespace+"\x00"+o.key, msgs) // one session's namespaces share a queue
	}
	if o.plain {
		for _, m := range msgs {
			m.Plain()
		}
	}
	return msgs, nil
}

// outgoing is what an emit sends.
func (n *Namespace) outgoing(o *Emit) *outgoing {
	out := &outgoing{
		packet: parser.Packet{Type: parser.Event, Namespace: n.name, Attachments: o.Attachments},
		event:  o.Event,
		args:   o.Args,
		plain:  !o.Compress,
		limit:  n.server.engine.Options().MaxQueue,
	}
	if !o.Volatile {
		out.key = o.ConflateKey
	}
	return out
}

// encoded is a packet in the encodings that members of a namespace read.
type encoded struct {
	msgs messages
	errs [encodings]error // why it cannot be encoded so
}

// deliver encodes o, outside the lock, for all who are in the namespace, and calls
// f under the lock, once, with the messages. f is called for no member who reads
// an encoding that o cannot have: then the error says why, and f is not called if
// somebody whom sel selects reads it, or if nobody reads another.
func (n *Namespace) deliver(o *outgoing, sel room.Selector, f func(msgs *messages)) error {
	var enc encoded
	for {
		for e := range parser.Encoding(encodings) {
			if n.reads(e) && enc.lacks(e) {
				enc.msgs[e], enc.errs[e] = o.encode(e)
			}
		}
		if done, err := n.ifEncoded(&enc, sel, f); done {
			return err
		}
	}
}

// ifEncoded calls f under the lock. It is false, and f has not been called, if the
// first member has come that reads an encoding which enc lacks.
func (n *Namespace) ifEncoded(enc *encoded, sel room.Selector, f func(msgs *messages)) (done bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for e := range parser.Encoding(encodings) {
		if n.reads(e) && enc.lacks(e) {
			return false, nil
		}
	}
	for e, err := range enc.errs {
		if err != nil && n.concernsLocked(parser.Encoding(e), sel) {
			return true, err
		}
	}
	f(&enc.msgs)
	return true, nil
}

// reads reports whether packets have to be encoded so: as JSON also where nobody
// is, so that somebody checks their size.
func (n *Namespace) reads(e parser.Encoding) bool {
	return n.readers[e].Load() > 0 || e == parser.JSON && n.readers[parser.MessagePack].Load() == 0
}

func (e *encoded) lacks(as parser.Encoding) bool { return e.msgs[as] == nil && e.errs[as] == nil }

// concernsLocked reports whether it matters that a packet cannot be encoded so:
// where only some members read that, whether one of the selected ones does.
func (n *Namespace) concernsLocked(e parser.Encoding, sel room.Selector) (concerns bool) {
	if !n.reads(1 - e) {
		return true
	}
	n.members.Select(sel, func(m *room.Entry[*Socket]) { concerns = concerns || m.Value.encoding == e })
	return concerns
}
