package sio

import (
	"math/rand/v2"
	"time"
)

// expiryCheck bounds how late an expiry is noticed after the wall clock was set: timers
// run by another clock, which nobody sets, and which stands still while the machine sleeps.
const expiryCheck = time.Minute

// expiry closes a session when an authorisation runs out.
type expiry struct {
	at    time.Time // by the wall clock, as whoever authorised it reads it
	timer *time.Timer
}

// expireLocked sets when the socket's authorisation runs out; zero: never.
func (s *Socket) expireLocked(at time.Time) {
	s.stopExpiryLocked()
	s.expiry = nil
	if !at.IsZero() {
		s.expiry = &expiry{at: at}
		s.expiry.timer = time.AfterFunc(s.expiry.wait(), func() { s.nsp.expired(s) })
	}
}

func (s *Socket) stopExpiryLocked() {
	if s.expiry != nil {
		s.expiry.timer.Stop()
	}
}

// wait returns when to look next: when it is due, and before that once in a while, for
// thousands of connections that came at once not all in the same moment.
func (e *expiry) wait() time.Duration {
	due := time.Until(e.at)
	if due > expiryCheck {
		return min(due, expiryCheck/2+rand.N(expiryCheck/2))
	}
	return max(due, time.Nanosecond) // not 0, for tests: golang/go#78156
}

// expired is a socket's expiry timer. A renewal may have come first, or the clock was set.
func (n *Namespace) expired(s *Socket) {
	n.mu.Lock()
	due := false
	if e := s.expiry; e != nil && !s.gone.Load() {
		if due = !time.Now().Before(e.at); !due {
			e.timer.Reset(e.wait())
		}
	}
	n.mu.Unlock()
	if due {
		s.Close(ReasonExpired)
	}
}
