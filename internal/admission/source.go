package admission

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Source is one part of the decision on a connection.
type Source interface {
	// Decide returns sofar, what the connection was granted before, with what
	// this source grants, by [Merge]; or why the connection may not be, as the
	// package comment says. It may block, within bounds of its own, and returns
	// soon after ctx ended, which it does when the client leaves. It is safe for
	// concurrent use. A source that remembers whom it allowed has to be the last
	// one: it is not told if a later one refuses.
	Decide(ctx context.Context, r *Request, sofar sio.Admission) (sio.Admission, error)
}

// Request is a connection that asks to be let in. Sources only read it.
type Request struct {
	// Socket is the connection itself, for a source that keeps it. It is no
	// member of its namespace yet.
	Socket *sio.Socket
	// Connection returns what is known of it: a copy, made by each call.
	Connection func() sio.Connection
	// Auth is the JSON object that the client sent with its CONNECT; nil: none.
	Auth []byte
	// Authorization is the value of the header of this name.
	Authorization string
	// SecretQuery returns a query parameter that is kept out of Connection.
	SecretQuery func(name string) string
}

// Sources are asked one after the other, until one does not allow the connection.
// With none, everybody is let in.
type Sources []Source

var _ Source = Sources(nil)

// Decide implements Source.
func (all Sources) Decide(ctx context.Context, r *Request, sofar sio.Admission) (sio.Admission, error) {
	for _, source := range all {
		var err error
		if sofar, err = source.Decide(ctx, r, sofar); err != nil {
			return sio.Admission{}, err
		}
	}
	return sofar, nil
}

// Decide asks a source about a socket whose client sent auth.
func Decide(ctx context.Context, s *sio.Socket, auth []byte, source Source) (sio.Admission, error) {
	r := &Request{Socket: s, Connection: s.Connection, Auth: auth, Authorization: s.Authorization(), SecretQuery: s.Secret}
	return source.Decide(ctx, r, sio.Admission{})
}
