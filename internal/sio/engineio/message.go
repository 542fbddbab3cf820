package engineio

import (
	"encoding/base64"
	"sync"
	"sync/atomic"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// Engine.IO v4 packet types, as they stand first in a text packet.
const (
	packetOpen    = '0'
	packetClose   = '1'
	packetPing    = '2'
	packetPong    = '3'
	packetMessage = '4'
	packetUpgrade = '5'
	packetNoop    = '6'
)

// Message is one immutable outbound packet that computes each of its wire forms
// at most once, however many sessions send it. It is safe for concurrent use.
type Message struct {
	// frame is the whole unmasked WebSocket frame. Its payload is also how a
	// text packet stands in a polling payload, so both share these bytes.
	frame  []byte
	header int // bytes of frame before the payload
	opcode byte

	once    sync.Once
	encoded []byte // how a binary packet stands in a polling payload: 'b' and base64

	keyed    *keyed                   // the packet that begins with it may be replaced; set before the first use
	plain    bool                     // never compressed over a WebSocket; set before the first use
	framings atomic.Pointer[framings] // nil: none was needed
}

// Text returns a message packet holding text, which must be valid UTF-8. The
// text is copied.
func Text(text []byte) *Message {
	return packet(packetMessage, text)
}

// Binary returns a message packet holding data, which is copied.
func Binary(data []byte) *Message {
	return frame(wsconn.OpBinary, nil, data)
}

// Plain marks a message as not worth compressing. It returns m, and must be
// called before m is sent for the first time.
func (m *Message) Plain() *Message {
	m.plain = true
	return m
}

func packet[S ~string | ~[]byte](kind byte, data S) *Message {
	return frame(wsconn.OpText, []byte{kind}, []byte(data))
}

// frame lays out one final, unmasked frame: servers do not mask (RFC 6455, 5.1).
func frame(opcode byte, prefix, data []byte) *Message {
	n := len(prefix) + len(data)
	b := wsconn.AppendHeader(make([]byte, 0, wsconn.MaxHeader+n), opcode, n)
	m := &Message{header: len(b), opcode: opcode}
	b = append(b, prefix...)
	m.frame = append(b, data...)
	return m
}

// rawFrame is a frame that somebody else laid out. It is kept.
func rawFrame(b []byte) *Message {
	return &Message{frame: b, opcode: wsconn.Opcode(b)}
}

// messageCost is, in bytes, about what a message takes in memory beside its frame,
// its place in a queue included. A client that reads nothing may be the only one to
// hold it.
const messageCost = 128

// size is what the message costs an outbox, in bytes.
func (m *Message) size() int { return messageCost + len(m.frame) }

// payloadPacket returns the packet as it stands in a polling payload. WebSocket
// control frames have none: they are never queued while polling carries the session.
func (m *Message) payloadPacket() []byte {
	if m.opcode == wsconn.OpText {
		return m.frame[m.header:]
	}
	m.once.Do(func() {
		data := m.frame[m.header:]
		m.encoded = make([]byte, 1, 1+base64.StdEncoding.EncodedLen(len(data)))
		m.encoded[0] = 'b'
		m.encoded = base64.StdEncoding.AppendEncode(m.encoded, data)
	})
	return m.encoded
}

// The packets without content, shared by all sessions.
var (
	pingPacket  = packet(packetPing, "")
	pongPacket  = packet(packetPong, "")
	closePacket = packet(packetClose, "")
	noopPacket  = packet(packetNoop, "")
	probeAnswer = packet(packetPong, "probe")
)

// Fits reports whether msgs together stay within limit, in bytes, as an outbox
// counts them.
func Fits(limit int, msgs ...*Message) bool {
	n := 0
	for _, m := range msgs {
		n += m.size()
	}
	return n <= limit
}
