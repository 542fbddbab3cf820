package sio

import (
	"errors"

	"github.com/fanoutd/fanoutd/internal/metrics"
)

// Recovery is what came of a client's wish to come back as the connection that it was
// before it was cut off. Its text names it in metrics and logs. Empty: the client did
// not wish it.
type Recovery string

// What may come of it. But for Recovered, the client is connected as somebody new.
const (
	Recovered             Recovery = "recovered"
	RecoveryExpired       Recovery = "expired"        // it came after Options.RecoveryWindow
	RecoveryEvicted       Recovery = "evicted"        // the connection, or what it missed, made room: Options.RecoveryBytes
	RecoveryUnknownOffset Recovery = "unknown_offset" // what it missed is not known: no event with its offset, or rooms changed since
	RecoveryOtherUser     Recovery = "other_user"     // it was admitted as another user than before, and than it has become
	RecoveryNodeGone      Recovery = "node_gone"      // the server that kept the connection has ended, or one that has to be asked does not answer
	RecoveryChanged       Recovery = "changed"        // a Join, Leave or Disconnect was meant for it while it was away
	RecoveryTooMuch       Recovery = "too_much"       // it missed more than is sent at once
	RecoveryBusy          Recovery = "busy"           // its end was not handled in time, or somebody else came back as it just then
	RecoveryUnknown       Recovery = "unknown"        // no such connection was kept, as after an end for good; or it is long ago
)

// recoveryResults are those above.
var recoveryResults = []string{
	string(Recovered), string(RecoveryExpired), string(RecoveryEvicted), string(RecoveryUnknownOffset), string(RecoveryOtherUser),
	string(RecoveryNodeGone), string(RecoveryChanged), string(RecoveryTooMuch), string(RecoveryBusy), string(RecoveryUnknown),
}

// moved is why a connection is not kept any more that is not lost: it is one again, or
// another server keeps it.
const moved Recovery = ""

// LostError says why nobody can come back as a connection any more. It is an
// [ErrForgotten].
type LostError struct{ Why Recovery }

func (e *LostError) Error() string {
	return "nobody can come back as that connection: " + string(e.Why)
}

// Is makes it an ErrForgotten.
func (e *LostError) Is(target error) bool { return target == ErrForgotten }

// resultOf returns what came of a wish for a connection that could not be claimed.
func resultOf(err error) Recovery {
	lost := (*LostError)(nil)
	switch {
	case errors.As(err, &lost):
		return lost.Why
	case errors.Is(err, ErrForgotten):
		return RecoveryUnknownOffset
	case errors.Is(err, ErrNotFound):
		return RecoveryUnknown
	case errors.Is(err, ErrBusy):
		return RecoveryBusy
	case errors.Is(err, ErrTooLarge):
		return RecoveryTooMuch
	}
	return RecoveryNodeGone // somebody does not answer
}

// countRecovery notes what came of a client's wish, now that s is a member.
func (s *Socket) countRecovery(m *metrics.Labeled) {
	if s.recovery == "" {
		return
	}
	m.Add(string(s.recovery), 1)
	s.nsp.server.log.Debug("a client came back", "namespace", s.nsp.name, "connection", s.id, "result", string(s.recovery))
}
