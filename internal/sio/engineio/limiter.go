package engineio

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"time"
)

// limiter is the session limiter. It bounds who may hold sessions, before
// anybody is authenticated: sessions in all and of one address, those that joined
// nothing yet, and how often they are opened. Server.mu guards it.
type limiter struct {
	limits  Limits
	seed    maphash.Seed
	began   time.Time // see Limits.StartRamp
	open    int       // sessions
	waiting list.List // of *Session that joined nothing, the oldest first
	of      map[netip.Addr]addressSessions
	all     bucket // of all addresses together
	rates   [rateSlots]bucket
}

// addressSessions counts the sessions of one address.
type addressSessions struct {
	open    int32
	pending int32 // of those, what joined nothing
}

// rateSlots share the addresses by their hash, so that no flood of addresses
// costs memory. Addresses that share one share its rate too; the seed is
// secret, so nobody can choose whom with.
const rateSlots = 1 << 13

// How many seconds' worth of handshakes may come at once.
const (
	addressBurst = 5 // browsers of one network come back together when it does
	burst        = 1 // those of all networks are the herd that HandshakeRate spreads
)

// rampStart is the part of HandshakeRate that is allowed at the very start.
const rampStart = 0.1

func newLimiter(l Limits) *limiter {
	return &limiter{limits: l, seed: maphash.MakeSeed(), began: time.Now(), of: map[netip.Addr]addressSessions{}}
}

// admitLocked lets a session in or says why not. It counts until removeLocked. When
// too many sessions in all have joined nothing, the oldest has to go, and is
// returned: an honest client joins within a round trip or two and is hardly ever
// the oldest, so a flood does not lock the others out.
func (l *limiter) admitLocked(s *Session, from netip.Addr, now time.Time) (evicted *Session, refusal *protocolError) {
	from = addressPrefix(from)
	has := l.of[from]
	switch {
	case reached(l.limits.Sessions, l.open):
		return nil, &errFull
	case !from.IsValid(): // nobody to hold to account
	case reached(l.limits.AddressSessions, int(has.open)):
		return nil, &errAddressFull
	case reached(l.limits.AddressPending, int(has.pending)):
		return nil, &errAddressBusy
	case !l.slot(from).take(float32(l.limits.AddressRate), addressBurst, now):
		return nil, &errAddressRate
	}
	if !l.all.take(l.handshakeRate(now), burst, now) { // last: what is refused anyway takes nothing from the others
		return nil, &errRate
	}
	if first := l.waiting.Front(); first != nil && reached(l.limits.Pending, l.waiting.Len()) {
		evicted = first.Value.(*Session)
		l.joinedLocked(evicted)
	}
	l.open++
	s.from, s.pending = from, l.waiting.PushBack(s)
	l.countLocked(from, 1, 1)
	return evicted, nil
}

// reached reports whether there is such a limit, and n is no less.
func reached(limit, n int) bool { return limit > 0 && n >= limit }

// handshakeRate is how many handshakes a second are allowed now; none or less: any
// number.
func (l *limiter) handshakeRate(now time.Time) float32 {
	allowed := float32(l.limits.HandshakeRate)
	if since := now.Sub(l.began); since < l.limits.StartRamp {
		allowed *= rampStart + (1-rampStart)*float32(since)/float32(l.limits.StartRamp)
	}
	return allowed
}

// slot returns the bucket of an address.
func (l *limiter) slot(from netip.Addr) *bucket {
	return &l.rates[maphash.Comparable(l.seed, from)%rateSlots]
}

// countLocked adds to the sessions of an address, if it is one to hold to account.
func (l *limiter) countLocked(from netip.Addr, open, pending int32) {
	if !from.IsValid() {
		return
	}
	has := l.of[from]
	has.open += open
	has.pending += pending
	if has == (addressSessions{}) {
		delete(l.of, from)
		return
	}
	l.of[from] = has
}

// joinedLocked takes a session out of those that joined nothing: it did, or it ends.
func (l *limiter) joinedLocked(s *Session) {
	if s.pending == nil {
		return
	}
	l.waiting.Remove(s.pending)
	s.pending = nil
	l.countLocked(s.from, 0, -1)
}

// removeLocked forgets a session that has ended.
func (l *limiter) removeLocked(s *Session) {
	l.joinedLocked(s)
	l.countLocked(s.from, -1, 0)
	l.open--
}
