package engineio

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the addresses of the reverse proxies in front, which are believed
// when they say whom a request comes from. The zero value believes nobody. It
// is safe for concurrent use.
type Proxies struct{ nets []netip.Prefix }

// ParseProxies reads a list of addresses and networks: 10.0.0.7, 10.0.0.0/8,
// fd00::/8.
func ParseProxies(list []string) (Proxies, error) {
	var p Proxies
	for _, s := range list {
		n, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return Proxies{}, fmt.Errorf("%q is neither an address such as 10.0.0.7 nor a network such as 10.0.0.0/8", s)
			}
			a = a.Unmap()
			n = netip.PrefixFrom(a, a.BitLen())
		}
		p.nets = append(p.nets, n.Masked())
	}
	return p, nil
}

func (p *Proxies) trusts(a netip.Addr) bool {
	for _, n := range p.nets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// client returns whom the request comes from, and as text for people, with the
// port where it is known. Behind proxies it is the last address in
// X-Forwarded-For that is no proxy's: whatever stands before that one, anybody
// may have written. The address is invalid where there is none to hold to
// account: on a unix socket, or when a proxy names nobody.
func (p *Proxies) client(r *http.Request) (a netip.Addr, text string) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, r.RemoteAddr
	}
	a = peer.Addr().Unmap().WithZone("")
	if !p.trusts(a) {
		return a, r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, ok := parseHop(hops[i])
		if !ok {
			break
		}
		if !p.trusts(hop) {
			return hop, hop.String()
		}
	}
	return netip.Addr{}, r.RemoteAddr
}

// parseHop reads an entry of X-Forwarded-For; some proxies add the port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

// neighbourhood is what one party has for sure: an IPv4 address, or the /64 that
// is a single IPv6 network, whose addresses its owner changes at will. It is
// invalid for addresses that are not of the Internet: who comes from one is a
// neighbour, and more often than not a proxy with everybody behind it.
func neighbourhood(a netip.Addr) netip.Addr {
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return netip.Addr{}
	}
	if a.Is6() {
		n, _ := a.Prefix(64) // 64 is valid for every one
		return n.Addr()
	}
	return a
}
