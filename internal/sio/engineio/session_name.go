package engineio

import (
	"strconv"
	"strings"
)

// Secure reports whether the client reached the server, or the trusted proxy in
// front of it, by TLS when it opened the session.
func (s *Session) Secure() bool { return s.secure }

// Name returns what the session may be told from others by, 20 letters and digits or
// more. It is no secret: it counts the sessions of this run of the server, and nothing
// leads from it to the sid. It is the same for as long as the session lives.
func (s *Session) Name() string {
	n := strconv.FormatUint(s.number, 36)
	return s.srv.run + strings.Repeat("0", max(0, 7-len(n))) + n
}
