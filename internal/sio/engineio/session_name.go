package engineio

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// Secure reports whether the client reached the server, or the trusted proxy in
// front of it, by TLS when it opened the session.
func (s *Session) Secure() bool { return s.secure }

// Name returns what the session may be told from others by: not the sid, and
// nothing that leads to it. It is the same for as long as the session lives.
func (s *Session) Name() string {
	h := hmac.New(sha256.New, s.srv.names[:])
	h.Write([]byte(s.id))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:nameBytes])
}

// nameBytes make the names of two sessions differ, as those of a sid do.
const nameBytes = 15
