package engineio

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// EpochLength is the length of an epoch.
const EpochLength = 5

// NewID returns an id of 20 url-safe characters, as long as the reference's
// (engine.io/lib/server.ts, generateId): the epoch, which everybody may know, and the
// rest from the system's randomness. Nobody can guess 90 bits, those of an id with an
// epoch, or 120 without: who knows a session's id can read its polls.
//
// The epoch is empty, or EpochLength characters of the same alphabet: it tells which
// server of several has made the id. See [Options.Epoch].
func NewID(epoch string) string {
	var b [15]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return epoch + base64.RawURLEncoding.EncodeToString(b[:])[len(epoch):]
}

// EpochOf returns the epoch that an id begins with, empty if it is too short for one.
func EpochOf(id string) string {
	if len(id) < EpochLength {
		return ""
	}
	return id[:EpochLength]
}

// checkEpoch reports why ids cannot begin so.
func checkEpoch(epoch string) error {
	if epoch == "" {
		return nil
	}
	if b, err := base64.RawURLEncoding.DecodeString(epoch + "AAA"); err != nil || len(epoch) != EpochLength || len(b) != 6 {
		return fmt.Errorf("%q is not %d characters of the URL-safe base64 alphabet", epoch, EpochLength)
	}
	return nil
}
