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
	if o.plain {
		for _, m := range msgs {
			m.Plain()
		}
	}
	return msgs, nil
}

// outgoing is what an emit sends.
func (n *Namespace) outgoing(o *Emit) *outgoing {
	return &outgoing{
		packet: parser.Packet{Type: parser.Event, Namespace: n.name, Attachments: o.Attachments},
		event:  o.Event,
		args:   o.Args,
		plain:  !o.Compress,
		limit:  n.server.engine.Options().MaxQueue,
	}
}

// encodeAndLock encodes o for everybody whom sel selects, and returns with n
// locked, so that it is the same everybody. With an error n is not locked.
//
// As a rule all members read the same encoding, and then nobody needs to look
// who is selected.
func (n *Namespace) encodeAndLock(o *outgoing, sel room.Selector) (msgs messages, err error) {
	var need [encodings]bool
	switch json, packed := n.readers[parser.JSON].Load(), n.readers[parser.MessagePack].Load(); {
	case packed == 0:
		need[parser.JSON] = true // also where nobody is: somebody checks the size
	case json == 0:
		need[parser.MessagePack] = true
	}
	for {
		for e := range need {
			if need[e] && msgs[e] == nil {
				if msgs[e], err = o.encode(parser.Encoding(e)); err != nil {
					return msgs, err
				}
			}
		}
		n.mu.Lock()
		missing := false
		for e := range need {
			need[e] = false
			missing = missing || msgs[e] == nil && n.readers[e].Load() > 0
		}
		if !missing {
			return msgs, nil
		}
		missing = false
		n.members.Select(sel, func(m *room.Entry[*Socket]) {
			if e := m.Value.encoding; msgs[e] == nil {
				need[e], missing = true, true
			}
		})
		if !missing {
			return msgs, nil
		}
		n.mu.Unlock()
	}
}
