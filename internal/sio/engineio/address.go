package engineio

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the addresses of the reverse proxies in front, which are believed
// when they say whom a request comes from and which host it was sent to. The
// zero value believes nobody. It is safe for concurrent use.
type Proxies struct {
	nets []netip.Prefix
	unix bool // who connects by a unix socket
}

// ParseProxies reads a list of addresses and networks: 10.0.0.7, 10.0.0.0/8,
// fd00::/8. The word unix stands for all that connect by a unix socket.
func ParseProxies(list []string) (Proxies, error) {
	var p Proxies
	for _, s := range list {
		if s == "unix" {
			p.unix = true
			continue
		}
		n, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return Proxies{}, fmt.Errorf("%q is neither an address such as 10.0.0.7 nor a network such as 10.0.0.0/8, nor unix", s)
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

// peer returns the address at the other end of the connection, of host:port, invalid on a
// unix socket, and whether that is a trusted proxy.
func (p *Proxies) peer(remote string) (a netip.Addr, trusted bool) {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}, p.unix
	}
	a = peer.Addr().Unmap().WithZone("")
	return a, p.trusts(a)
}

// client returns whom the request comes from, as text for people, with the port
// where it is known, and the address to hold to account for it.
//
// Behind proxies it goes by the rules of nginx's real_ip_recursive
// (ngx_http_core_module, ngx_http_get_forwarded_addr): the list of X-Forwarded-For
// is read from its end, where the nearest proxy wrote, past those that are
// trusted; whatever stands before the first that is not, anybody may have
// written. If all are trusted it is the first of them. What is no address ends
// the list: then it is the address read before that, and the proxy's own if there
// is none. Without X-Forwarded-For, Forwarded is read in the same way (RFC 7239).
//
// The address to account is the same, unless its like is exempt from limits (see
// addressPrefix): then it is the last on the way there that is not. So no header
// lifts a limit that would hold without it. It is invalid where there is none: on
// a unix socket.
func (p *Proxies) client(r *http.Request) (account netip.Addr, text string) {
	a, trusted := p.peer(r.RemoteAddr)
	if !trusted {
		return a, r.RemoteAddr
	}
	account = a
	for hop := range hopsBack(r.Header) {
		from, ok := parseHop(hop.from)
		if !ok {
			break
		}
		if a = from; addressPrefix(a).IsValid() || !addressPrefix(account).IsValid() {
			account = a
		}
		if !p.trusts(a) {
			break
		}
	}
	return account, a.String()
}

// site returns where the request was sent to: what Host says, or, behind a
// trusted proxy, what that tells instead. It tells by X-Forwarded-Host and
// X-Forwarded-Proto, of which the first element is the outermost proxy's, or in
// Forwarded. No page can add any of these to its visitor's requests: a WebSocket
// has no such headers, and for others a browser asks first, by a preflight.
//
// Where nobody tells, a request that came by TLS was sent to https. WebTransport
// always comes by TLS, also from the plain http pages of a developer's own machine.
func (p *Proxies) site(r *http.Request) site {
	s := site{host: r.Host, https: r.TLS != nil && r.ProtoMajor < 3}
	if _, trusted := p.peer(r.RemoteAddr); !trusted {
		return s
	}
	host, proto := firstOf(r.Header, "X-Forwarded-Host"), firstOf(r.Header, "X-Forwarded-Proto")
	if host == "" || proto == "" {
		// The outermost proxy that is trusted wrote the last that is read here.
		var told hop
		for h := range forwardedBack(r.Header) {
			told.host, told.proto = cmp.Or(h.host, told.host), cmp.Or(h.proto, told.proto)
			from, ok := parseHop(h.from)
			if !ok || !p.trusts(from) {
				break
			}
		}
		host, proto = cmp.Or(host, told.host), cmp.Or(proto, told.proto)
	}
	s.host = cmp.Or(host, r.Host)
	if proto == "" {
		return s
	}
	s.told = true
	s.https = slices.Contains([]string{"https", "wss"}, strings.ToLower(proto))
	return s
}

// addressPrefix is what one party has for sure: an IPv4 address, or the /64 that
// is a single IPv6 network, whose addresses its owner changes at will. It is
// invalid for addresses that are not of the Internet: who comes from one is a
// neighbour, and more often than not a proxy with everybody behind it.
func addressPrefix(a netip.Addr) netip.Addr {
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return netip.Addr{}
	}
	if a.Is6() {
		n, _ := a.Prefix(64) // 64 is valid for every one
		return n.Addr()
	}
	return a
}
