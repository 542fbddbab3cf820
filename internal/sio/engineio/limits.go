package engineio

import "time"

// Limits bound who may hold sessions. The zero value has the defaults; a
// negative number lifts its limit.
//
// Limits of an address hold for an IPv4 address and for an IPv6 /64 network.
// Loopback and private addresses are exempt: a proxy there would be one address
// with everybody's sessions. Behind one they need [Options.Proxies] to hold.
type Limits struct {
	// Sessions bounds how many are open in all. Default 250,000.
	Sessions int
	// Pending bounds, in all, those for which [Session.MarkJoined] was not called:
	// beyond it the oldest is closed with [ReasonPendingLimit]. Default 10,000.
	Pending int
	// AddressSessions bounds how many of them one address may have open. Default
	// 10,000: a mobile network behind one address has its place, and nobody has all.
	AddressSessions int
	// AddressPending bounds the pending ones of one address; beyond it a handshake is
	// refused. Default 1,000: a large office behind one address comes back at once.
	AddressPending int
	// AddressRate bounds one address's handshakes, as a number a second; five
	// seconds' worth may come at once. Default 200.
	AddressRate int
	// HandshakeRate bounds the handshakes of all addresses together, private ones
	// too, as a number a second; one second's worth may come at once. Default: no
	// limit, since what a server bears depends on its machine and on who admits.
	HandshakeRate int
	// StartRamp is how long after the server's start HandshakeRate grows: evenly from
	// a tenth of it. Default 15 s: stock clients try again after 0.5 s to 1.5 s, then 1 s
	// to 3 s, then 5 s at most, so that a herd which meets a new server is spread over
	// several of their attempts. Negative: no ramp.
	StartRamp time.Duration
}

// Defaults of [Limits].
const (
	DefaultMaxSessions        = 250_000
	DefaultMaxPending         = 10_000
	DefaultMaxAddressSessions = 10_000
	DefaultMaxAddressPending  = 1_000
	DefaultMaxAddressRate     = 200
	DefaultMaxHandshakeRate   = -1 // none
	DefaultStartRamp          = 15 * time.Second
)

func (l Limits) withDefaults() Limits {
	l.Sessions = orDefault(l.Sessions, DefaultMaxSessions)
	l.Pending = orDefault(l.Pending, DefaultMaxPending)
	l.AddressSessions = orDefault(l.AddressSessions, DefaultMaxAddressSessions)
	l.AddressPending = orDefault(l.AddressPending, DefaultMaxAddressPending)
	l.AddressRate = orDefault(l.AddressRate, DefaultMaxAddressRate)
	l.HandshakeRate = orDefault(l.HandshakeRate, DefaultMaxHandshakeRate)
	l.StartRamp = orDefault(l.StartRamp, DefaultStartRamp)
	return l
}
