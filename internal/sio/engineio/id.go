package engineio

import (
	"crypto/rand"
	"encoding/base64"
)

// NewID returns 20 url-safe characters, all of them from the system's randomness,
// as the reference's ids are (engine.io/lib/server.ts, generateId). Nobody can
// guess one: who knows a session's id can read its polls.
func NewID() string {
	var b [15]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
