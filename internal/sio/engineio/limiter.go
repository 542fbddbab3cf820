package engineio

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"time"
)

// limiter is the session limiter. It bounds who may hold sessions, before
// anybody is authenticated: sessions in all, those that joined nothing yet, and how
// often one address opens one. Server.mu guards it.
type limiter struct {
	limits  Limits
	seed    maphash.Seed
	open    int                // sessions
	waiting list.List          // of *Session that joined nothing, the oldest first
	of      map[netip.Addr]int // how many of waiting, by address
	rates   [rateSlots]rate
}

// rateSlots share the addresses by their hash, so that no flood of addresses
// costs memory. Addresses that share one share its rate too; the seed is
// secret, so nobody can choose whom with.
const rateSlots = 1 << 13

// rate is a bucket of tokens: a handshake takes one, time brings them back.
type rate struct {
	tokens float32
	at     time.Time // when tokens was right
}

// burst is how many seconds' worth of handshakes may come at once: browsers come
// back together when a network or a server does.
const burst = 5

func newLimiter(l Limits) *limiter {
	return &limiter{limits: l, seed: maphash.MakeSeed(), of: map[netip.Addr]int{}}
}

// admitLocked lets a session in or says why not. It counts until removeLocked. When
// too many sessions in all have joined nothing, the oldest has to go, and is
// returned: an honest client joins within a round trip or two and is hardly ever
// the oldest, so a flood does not lock the others out.
func (l *limiter) admitLocked(s *Session, from netip.Addr, now time.Time) (evicted *Session, refusal *protocolError) {
	from = addressPrefix(from)
	switch {
	case l.limits.Sessions > 0 && l.open >= l.limits.Sessions:
		return nil, &errFull
	case !from.IsValid(): // nobody to hold to account
	case l.limits.AddressPending > 0 && l.of[from] >= l.limits.AddressPending:
		return nil, &errAddressBusy
	case !l.takeLocked(from, now):
		return nil, &errAddressRate
	}
	if first := l.waiting.Front(); first != nil && l.limits.Pending > 0 && l.waiting.Len() >= l.limits.Pending {
		evicted = first.Value.(*Session)
		l.joinedLocked(evicted)
	}
	l.open++
	s.from, s.pending = from, l.waiting.PushBack(s)
	if from.IsValid() {
		l.of[from]++
	}
	return evicted, nil
}

// takeLocked takes a token of the address, if it has one left.
func (l *limiter) takeLocked(from netip.Addr, now time.Time) bool {
	perSecond := float32(l.limits.AddressRate)
	if perSecond <= 0 {
		return true
	}
	r := l.slot(from)
	if full := perSecond * burst; r.at.IsZero() {
		r.tokens = full
	} else {
		r.tokens = min(full, r.tokens+perSecond*float32(now.Sub(r.at).Seconds()))
	}
	r.at = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

// slot returns the bucket of an address.
func (l *limiter) slot(from netip.Addr) *rate {
	return &l.rates[maphash.Comparable(l.seed, from)%rateSlots]
}

// joinedLocked takes a session out of those that joined nothing: it did, or it ends.
func (l *limiter) joinedLocked(s *Session) {
	if s.pending == nil {
		return
	}
	l.waiting.Remove(s.pending)
	s.pending = nil
	if !s.from.IsValid() {
		return
	}
	if l.of[s.from]--; l.of[s.from] == 0 {
		delete(l.of, s.from)
	}
}

// removeLocked forgets a session that has ended.
func (l *limiter) removeLocked(s *Session) {
	l.joinedLocked(s)
	l.open--
}
