package engineio

import (
	"encoding/base64"
	"sync"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// form is how a WebSocket's messages differ from the plain ones of Engine.IO v4.
type form uint8

const (
	// formBase64: binary messages are text, for clients that asked for b64.
	formBase64 form = 1 << iota
	// formV3: binary messages begin with their packet type (Engine.IO v3).
	formV3
	// formDeflate: longer messages are compressed (RFC 7692).
	formDeflate
	// allForms is how many there are.
	allForms
)

// forms are the WebSocket frames of a message in other forms, each made at most
// once, however many sessions send it.
type forms [allForms]struct {
	once sync.Once
	m    *Message
}

// dress replaces each message, which the caller must own the place of, by its
// form. It is called outside all locks: making a form may take time.
func dress(msgs []*Message, f form) {
	if f == 0 {
		return
	}
	for i, m := range msgs {
		msgs[i] = m.in(f)
	}
}

// in returns the message in form f.
func (m *Message) in(f form) *Message {
	switch m.opcode {
	case wsconn.OpBinary:
	case wsconn.OpText:
		f &= formDeflate // no other makes a difference
	default: // control frames are the same for all
		return m
	}
	if m.plain || len(m.frame)-m.header < compressThreshold {
		f &^= formDeflate
	}
	if f == 0 {
		return m
	}
	all := m.forms.Load()
	if all == nil {
		m.forms.CompareAndSwap(nil, new(forms))
		all = m.forms.Load()
	}
	x := &all[f]
	x.once.Do(func() { x.m = m.make(f) })
	return x.m
}

func (m *Message) make(f form) *Message {
	data := m.frame[m.header:]
	opcode := m.opcode
	var prefix []byte
	switch {
	case f&formBase64 != 0:
		opcode = wsconn.OpText
		prefix = []byte{'b'}
		if f&formV3 != 0 {
			prefix = []byte{'b', packetMessage}
		}
		data = base64.StdEncoding.AppendEncode(nil, data)
	case f&formV3 != 0:
		prefix = []byte{packetMessage - '0'}
	}
	if f&formDeflate != 0 {
		return deflated(opcode, prefix, data)
	}
	return frame(opcode, prefix, data)
}

// deflated lays out one frame of a compressed message, or a plain one where that
// is no longer.
func deflated(opcode byte, prefix, data []byte) *Message {
	payload := wsconn.Deflate(prefix, data)
	if len(payload) >= len(prefix)+len(data) {
		return frame(opcode, prefix, data)
	}
	return frame(opcode|wsconn.Compressed, nil, payload)
}
