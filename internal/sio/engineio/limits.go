package engineio

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
	// AddressPending bounds those of one address; beyond it a handshake is
	// refused. Default 1,000: a large office behind one address comes back at once.
	AddressPending int
	// AddressRate bounds one address's handshakes, as a number a second; five
	// seconds' worth may come at once. Default 200.
	AddressRate int
}

// Defaults of [Limits].
const (
	DefaultMaxSessions       = 250_000
	DefaultMaxPending        = 10_000
	DefaultMaxAddressPending = 1_000
	DefaultMaxAddressRate    = 200
)

func (l Limits) withDefaults() Limits {
	l.Sessions = orDefault(l.Sessions, DefaultMaxSessions)
	l.Pending = orDefault(l.Pending, DefaultMaxPending)
	l.AddressPending = orDefault(l.AddressPending, DefaultMaxAddressPending)
	l.AddressRate = orDefault(l.AddressRate, DefaultMaxAddressRate)
	return l
}
