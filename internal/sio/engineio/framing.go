package engineio

import (
	"encoding/base64"
	"sync"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// framing is how a WebSocket's messages differ from the plain ones of Engine.IO v4.
type framing uint8

const (
	// framingBase64: binary messages are text, for clients that asked for b64.
	framingBase64 framing = 1 << iota
	// framingV3: binary messages begin with their packet type (Engine.IO v3).
	framingV3
	// framingDeflate: longer messages are compressed (RFC 7692).
	framingDeflate
	// allFramings is how many there are.
	allFramings
)

// framings are the frames of a message in other framings, each made at most
// once, however many sessions send it.
type framings [allFramings]struct {
	once sync.Once
	m    *Message
}

// encode replaces each message, which the caller must own the place of, by its
// frame in framing f. It is called outside all locks: laying one out may take time.
func encode(msgs []*Message, f framing) {
	if f == 0 {
		return
	}
	for i, m := range msgs {
		msgs[i] = m.framed(f)
	}
}

// framed returns the message in framing f.
func (m *Message) framed(f framing) *Message {
	switch m.opcode {
	case wsconn.OpBinary:
	case wsconn.OpText:
		f &= framingDeflate // no other makes a difference
	default: // control frames are the same for all
		return m
	}
	if m.plain || len(m.frame)-m.header < compressThreshold {
		f &^= framingDeflate
	}
	if f == 0 {
		return m
	}
	all := m.framings.Load()
	if all == nil {
		m.framings.CompareAndSwap(nil, new(framings))
		all = m.framings.Load()
	}
	x := &all[f]
	x.once.Do(func() { x.m = m.build(f) })
	return x.m
}

func (m *Message) build(f framing) *Message {
	data := m.frame[m.header:]
	opcode := m.opcode
	var prefix []byte
	switch {
	case f&framingBase64 != 0:
		opcode = wsconn.OpText
		prefix = []byte{'b'}
		if f&framingV3 != 0 {
			prefix = []byte{'b', packetMessage}
		}
		data = base64.StdEncoding.AppendEncode(nil, data)
	case f&framingV3 != 0:
		prefix = []byte{packetMessage - '0'}
	}
	if f&framingDeflate != 0 {
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
