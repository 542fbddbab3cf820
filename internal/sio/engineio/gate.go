package engineio

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// gate limits who may open sessions, before anybody is authenticated: sessions
// in all, those that joined nothing yet, and how often one address opens one.
type gate struct {
	limits Limits // fixed at birth
	seed   maphash.Seed

	mu      sync.Mutex
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

func newGate(l Limits) *gate {
	return &gate{limits: l, seed: maphash.MakeSeed(), of: map[netip.Addr]int{}}
}

// enter lets a session in or says why not. It stays until leave. When too many
// sessions in all have joined nothing, the oldest has to go, which enter
// returns: an honest client joins within a round trip or two and is hardly ever
// the oldest, so a flood does not lock the others out.
func (g *gate) enter(s *Session, from netip.Addr, now time.Time) (evicted *Session, refusal *protocolError) {
	from = neighbourhood(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.limits.Sessions > 0 && g.open >= g.limits.Sessions:
		return nil, &errFull
	case !from.IsValid(): // nobody to hold to account
	case g.limits.AddressPending > 0 && g.of[from] >= g.limits.AddressPending:
		return nil, &errAddressBusy
	case !g.takeLocked(from, now):
		return nil, &errAddressRate
	}
	if first := g.waiting.Front(); first != nil && g.limits.Pending > 0 && g.waiting.Len() >= g.limits.Pending {
		evicted = first.Value.(*Session)
		g.settleLocked(evicted)
	}
	g.open++
	s.from, s.pending = from, g.waiting.PushBack(s)
	if from.IsValid() {
		g.of[from]++
	}
	return evicted, nil
}

// takeLocked takes a token of the address, if it has one left.
func (g *gate) takeLocked(from netip.Addr, now time.Time) bool {
	perSecond := float32(g.limits.AddressRate)
	if perSecond <= 0 {
		return true
	}
	r := &g.rates[maphash.Comparable(g.seed, from)%rateSlots]
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

// settle notes that a session joined something.
func (g *gate) settle(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settleLocked(s)
}

func (g *gate) settleLocked(s *Session) {
	if s.pending == nil {
		return
	}
	g.waiting.Remove(s.pending)
	s.pending = nil
	if !s.from.IsValid() {
		return
	}
	if g.of[s.from]--; g.of[s.from] == 0 {
		delete(g.of, s.from)
	}
}

// leave ends a session's stay.
func (g *gate) leave(s *Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settleLocked(s)
	g.open--
}
