package parser

// MaxAttachments is the number of binary attachments one packet may have. The
// stock client drops its connection on one more (socket.io-parser/lib/index.ts,
// maxAttachments), so it bounds both directions.
const MaxAttachments = 10

// maxExactID is the largest number up to which JavaScript's are exact.
const maxExactID = 1<<53 - 1

// Encoding is how packets become messages. Clients choose theirs, and a server
// tells it by the first message of a session.
type Encoding uint8

// The encodings.
const (
	JSON        Encoding = iota // a text message, attachments as binary messages behind it
	MessagePack                 // one binary message (socket.io-msgpack-parser)
)

// Type is a packet type, as the digit a packet starts with.
type Type byte

// The packet types (socket.io-protocol, revision 5).
const (
	Connect      Type = iota // join a namespace, or the answer to it
	Disconnect               // leave a namespace
	Event                    // an event with its arguments
	Ack                      // the arguments that answer an event
	ConnectError             // joining a namespace was refused
	BinaryEvent              // on the wire only: an Event with attachments
	BinaryAck                // on the wire only: an Ack with attachments
)

// Packet is one Socket.IO packet. Its byte slices are shared, never copied:
// all holders of a Packet treat them as immutable.
type Packet struct {
	Type        Type     // Event or Ack for binary packets too
	Namespace   string   // with its leading slash; "/" when absent on the wire
	ID          uint64   // the ack id, if HasID
	HasID       bool     // on an Event: the sender awaits an ack; always set on an Ack
	Data        []byte   // JSON text verbatim: an array for Event and Ack, an object for Connect, a string or an object for ConnectError; nil if none
	Attachments [][]byte // what the placeholders in Data stand for, by number
}

// Event splits the data of an Event packet into its name and the JSON array of
// the remaining arguments, each verbatim, "[]" if there are none. A name that
// is a number comes back as its literal. Other packets, and data that is no
// event, have an empty name and empty arguments.
func (p *Packet) Event() (name, args string) {
	if p.Type != Event {
		return "", ""
	}
	literal, rest, ok := cutName(p.Data)
	if !ok {
		return "", ""
	}
	if literal[0] != '"' {
		name = string(literal)
	} else if name, ok = unquote(literal); !ok {
		return "", ""
	}
	return name, "[" + string(rest)
}

// Reserved reports whether event is a name no packet may carry, because the
// stock client and server give it a meaning of their own
// (socket.io-parser/lib/index.ts, RESERVED_EVENTS).
func Reserved(event string) bool {
	switch event {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
