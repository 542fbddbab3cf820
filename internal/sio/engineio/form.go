package engineio

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"sync"
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
	case opBinary:
	case opText:
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
		opcode = opText
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

// rsv1 marks the first frame of a compressed message (RFC 7692, 6).
const rsv1 = 0x40

// deflaters are idle writers; one costs most of a megabyte to make.
var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is valid
	return w
}}

// deflated lays out one frame of a compressed message. It refers to no message
// before it, so that all recipients share it; "no context takeover" is what
// gorilla negotiates.
func deflated(opcode byte, prefix, data []byte) *Message {
	var b bytes.Buffer
	b.Grow(len(data) / 4)
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	w.Write(prefix) //nolint:errcheck // a buffer takes everything
	w.Write(data)   //nolint:errcheck // a buffer takes everything
	w.Flush()
	// A flush ends with an empty block whose length fields the receiver adds
	// (RFC 7692, 7.2.1).
	compressed := bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
	if len(compressed) >= len(prefix)+len(data) {
		return frame(opcode, prefix, data)
	}
	return frame(opcode|rsv1, nil, compressed)
}
