package dispatch

import (
	"strconv"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Kind of an [Event].
type Kind int

// The kinds, in the order in which a connection can cause them.
const (
	Connecting      Kind = iota // asks for a verdict; Args is [auth]
	Connected                   // the connection is a member of its namespace
	Message                     // the browser emitted an event
	Disconnected                // the connection ended, for Reason
	RecoveryExpired             // its client can come back as it no more, for Reason, a sio.Recovery
)

// Event is one thing that a connection did. It is immutable and shared by all
// groups.
type Event struct {
	Kind          Kind
	Namespace     string
	ConnectionID  string
	Epoch         string // of the node, where the connection's id does not begin with it; else empty
	UserID        string
	Sequence      uint64 // counts the connection's events, from 1; with ConnectionID it names the event
	Name          string // of a Message
	Args          string // JSON array text, verbatim
	Attachments   [][]byte
	ReplyExpected bool
	Reason        string // of a Disconnected and a RecoveryExpired
	Detail        string // of a Disconnected: what is known beside the reason; for people
	Recoverable   bool   // of a Disconnected: its client may still come back as it
	ReceivedAt    time.Time
	Traceparent   string // of a Message: the trace that it belongs to, as W3C Trace Context has it; empty: none
	// Connection is what was known of the connection, of a Connecting with what
	// it was granted by then, of a Disconnected as it was at its end; nil of a Message.
	Connection *sio.Connection

	// Of a Connected: it was there before the group, or what makes the group ask for
	// it, was. It is made for one group, with the sequence that all others heard.
	Existing bool

	view *view // of the connection, of a Message, an Existing or one that returned; nil: its connection does not matter

	// Of a Connected: the group was told that the connection was lost with this node.
	returned bool

	// Replay is of a dead letter that is delivered once more: it counts the replays of the
	// dispatcher, from 1. 0: it is none.
	Replay uint64
	letter uint64 // its number

	size    int          // bytes, as the bounds count them
	verdict chan Verdict // of a Connecting; holds one
}

func (e *Event) measure() {
	e.size = eventOverhead + len(e.Name) + len(e.Args) + len(e.Reason) + len(e.Detail)
	for _, a := range e.Attachments {
		e.size += len(a)
	}
	if e.Connection != nil {
		e.size += e.Connection.Size()
	}
}

// ends reports whether the event comes when the connection is gone.
func (e *Event) ends() bool { return e.Kind == Disconnected || e.Kind == RecoveryExpired }

// ID names the event in every group and at every attempt; each replay has one of
// its own. It begins with the epoch of the node where the event waits, if that has one.
func (e *Event) ID() string {
	var room [128]byte // of its own, so that the text alone is allocated
	id := room[:0]
	if e.Epoch != "" {
		id = append(append(id, e.Epoch...), ':')
	}
	id = append(append(id, e.ConnectionID...), '.')
	id = strconv.AppendUint(id, e.Sequence, 10)
	if e.Replayed() {
		id = strconv.AppendUint(append(id, '.'), e.Replay, 10)
	}
	return string(id)
}

// Replayed reports whether the event was a dead letter.
func (e *Event) Replayed() bool { return e.Replay > 0 }

// eventID is what [Event.ID] says.
type eventID struct {
	connection string
	sequence   uint64
	replay     uint64 // 0: it is none
}

// parseID is the inverse of [Event.ID].
func parseID(text string) (id eventID, ok bool) {
	if _, rest, ok := strings.Cut(text, ":"); ok { // of which no connection's id has one
		text = rest
	}
	connection, numbers, ok := strings.Cut(text, ".")
	if !ok || connection == "" {
		return eventID{}, false
	}
	sequence, replay, replayed := strings.Cut(numbers, ".")
	id.connection = connection
	var err error
	if id.sequence, err = strconv.ParseUint(sequence, 10, 64); err == nil && replayed {
		id.replay, err = strconv.ParseUint(replay, 10, 64)
	}
	return id, err == nil && (id.replay > 0 || !replayed)
}

// Delivery is an event on its way to a subscription.
type Delivery struct {
	*Event
	Attempt uint32 // 1 at first
}
