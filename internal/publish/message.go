package publish

import (
	"cmp"
	"time"
)

// Member names a consumer.
type Member struct{ Group, ConsumerID string }

// Compare orders members by their groups, and then by their ids.
func Compare(a, b Member) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.ConsumerID, b.ConsumerID))
}

// Message is what is published. It is immutable once it has been handed over.
type Message struct {
	Topic string
	// Args is the text of a JSON array.
	Args        []byte
	Attachments [][]byte
	Traceparent string // names the trace that it belongs to; empty: none
}

// Handed is a message that a member has, and has answered, if that was awaited.
type Handed struct {
	Member
	*Message
	Began    time.Time // when it was handed over
	Answered bool      // false: no answer was awaited
}

func (m *Message) size() int { return sizeOf(len(m.Topic)+len(m.Args), m.Attachments) }

// sizeOf is about how many bytes a message takes that has so many beside its attachments.
func sizeOf(text int, attachments [][]byte) int {
	const overhead = 256
	n := overhead + text
	for _, a := range attachments {
		n += len(a)
	}
	return n
}

// Request is one publish.
type Request struct {
	Message
	Group  string // whose members are meant; empty: those of all groups
	Except Member // is left out; the zero Member: nobody is
	// Timeout is how long answers are awaited. 0: none are.
	Timeout time.Duration
}

// Means reports whether the member is one that the message is for, if it asked for the
// topic.
func (r *Request) Means(m Member) bool {
	return (r.Group == "" || m.Group == r.Group) && m != r.Except
}

// Reason is why a member did not get a message, or did not answer it.
type Reason int

const (
	// Answered is no such reason.
	Answered Reason = iota
	// TimedOut: it did not answer in time.
	TimedOut
	// Left: it was a member no more before it answered. It may have got the message.
	Left
	// Full: so much waits for it, or for its answers, that there was no room.
	Full
	// TooLarge: it does not take messages of this size.
	TooLarge
	// AnswerDropped: it answered, and there was no room for that.
	AnswerDropped
	// Unreachable: its node does not answer. It may have got the message.
	Unreachable
)

// Outcome is what became of a message for one member: its answer, or why there is none.
type Outcome struct {
	Member
	Reason      Reason // Answered: the rest is its answer
	Args        []byte // the text of a JSON array
	Attachments [][]byte
}

// Result is what became of a publish.
type Result struct {
	Matched     int       // members that it was handed to
	Outcomes    []Outcome // answers, and who did not get it or did not answer; in the order in which they came about
	Unreachable []string  // names of the nodes that do not answer, each once
}
