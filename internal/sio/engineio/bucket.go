package engineio

import "time"

// bucket holds tokens: a handshake takes one, time brings them back. It is
// smaller than that of golang.org/x/time/rate, and has no lock: there are thousands,
// and Server.mu guards them.
type bucket struct {
	tokens float32
	at     time.Time // when tokens was right; zero: it is full
}

// take takes a token, if there is one left. Tokens come back perSecond, up to so many
// seconds' worth, but one at least; a rate of none or less means that there are always
// enough.
func (b *bucket) take(perSecond float32, seconds float32, now time.Time) bool {
	if perSecond <= 0 {
		return true
	}
	full := max(1, perSecond*seconds)
	if b.at.IsZero() {
		b.tokens = full
	} else {
		b.tokens = min(full, b.tokens+perSecond*float32(now.Sub(b.at).Seconds()))
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
