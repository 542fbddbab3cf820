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
	Connecting   Kind = iota // asks for a verdict; Args is [auth]
	Connected                // the connection is a member of its namespace
	Message                  // the browser emitted an event
	Disconnected             // the connection ended, for Reason
)

// Event is one thing that a connection did. It is immutable and shared by all
// groups.
type Event struct {
	Kind          Kind
	Namespace     string
	ConnectionID  string
	UserID        string
	Sequence      uint64 // counts the connection's events, from 1; with ConnectionID it names the event
	Name          string // of a Message
	Args          []byte // JSON array text, verbatim
	Attachments   [][]byte
	ReplyExpected bool
	Reason        string // of a Disconnected
	ReceivedAt    time.Time
	// Connection is what was known of the connection, of a Connecting with what
	// it was granted by then; nil unless Connecting or Connected.
	Connection *sio.Connection

	size    int          // bytes, as the bounds count them
	verdict chan Verdict // of a Connecting; holds one
}

func (e *Event) measure() {
	e.size = eventOverhead + len(e.Name) + len(e.Args) + len(e.Reason)
	for _, a := range e.Attachments {
		e.size += len(a)
	}
	if e.Connection != nil {
		for name, value := range e.Connection.Query { // the client's choice
			e.size += len(name) + len(value)
		}
	}
}

// ID names the event in every group and at every attempt.
func (e *Event) ID() string {
	return e.ConnectionID + "." + strconv.FormatUint(e.Sequence, 10)
}

// parseID is the inverse of [Event.ID].
func parseID(id string) (connection string, sequence uint64, ok bool) {
	connection, digits, ok := strings.Cut(id, ".")
	sequence, err := strconv.ParseUint(digits, 10, 64)
	return connection, sequence, ok && err == nil && connection != ""
}

// Delivery is an event on its way to a subscription.
type Delivery struct {
	*Event
	Attempt uint32 // 1 at first
}
