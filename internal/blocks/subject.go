package blocks

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Subject is who is blocked: a user, or if Prefix is valid the addresses in it.
type Subject struct {
	User   string
	Prefix netip.Prefix // as [ParsePrefix] returns it
}

// The widest networks that may be blocked, in bits: a typo is not to keep everybody out,
// and nobody has a network that is wider.
const (
	widest4 = 8
	widest6 = 16
)

// ErrTooWide says that a prefix holds more addresses than may be blocked at once.
var ErrTooWide = fmt.Errorf("covers too much: networks of IPv4 are blocked from /%d on, of IPv6 from /%d on", widest4, widest6)

var errNoPrefix = errors.New("is neither an address such as 203.0.113.7 nor a network such as 203.0.113.0/24 or 2001:db8::/48")

// ParsePrefix reads an address or a network in CIDR notation. Bits behind the prefix do
// not count, and IPv4 that is written as IPv6 (::ffff:203.0.113.7) is IPv4. Its error says
// what the text is not, and is [ErrTooWide] for a network that is too wide to be blocked.
func ParsePrefix(text string) (netip.Prefix, error) {
	p, err := ParseNetwork(text)
	if err == nil && p.Bits() < widest(p.Addr()) {
		return netip.Prefix{}, ErrTooWide
	}
	return p, err
}

// ParseNetwork is ParsePrefix of a network that may be as wide as it likes.
func ParseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errNoPrefix
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() < 96 { // of more than IPv4
		return netip.Prefix{}, ErrTooWide
	} else if a.Is4In6() {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func widest(a netip.Addr) int {
	if a.Is4() {
		return widest4
	}
	return widest6
}

// Compare orders subjects: addresses come first, and then users by the bytes of their names.
func (s Subject) Compare(other Subject) int {
	switch a, b := s.Prefix.IsValid(), other.Prefix.IsValid(); {
	case a && b:
		return cmp.Or(s.Prefix.Addr().Compare(other.Prefix.Addr()), cmp.Compare(s.Prefix.Bits(), other.Prefix.Bits()))
	case a:
		return -1
	case b:
		return 1
	}
	return strings.Compare(s.User, other.User)
}

// Key names the subject, for stores and cursors.
func (s Subject) Key() string {
	if s.Prefix.IsValid() {
		return "a" + s.Prefix.String()
	}
	return "u" + s.User
}

// SubjectOf is the inverse of Key. Its error says that the text is none.
func SubjectOf(key string) (s Subject, err error) {
	kind, rest := key[:min(1, len(key))], key[min(1, len(key)):]
	switch {
	case kind == "u" && rest != "":
		s.User = rest
	case kind == "a":
		s.Prefix, err = ParsePrefix(rest)
	default:
		err = errors.New("no subject")
	}
	if err != nil {
		return s, fmt.Errorf("%.64q: %w", key, err)
	}
	return s, nil
}

// Stamp orders what was done to one subject: later is what was done later, or by somebody
// who knew of the other.
type Stamp struct {
	Time int64  // nanoseconds since 1970, or just beyond the latest that the writer knew
	Node string // who wrote it, by which two of one time are told apart
}

// Compare returns whether s is before (-1), after (1) or the same as other.
func (s Stamp) Compare(other Stamp) int {
	return cmp.Or(cmp.Compare(s.Time, other.Time), cmp.Compare(s.Node, other.Node))
}
