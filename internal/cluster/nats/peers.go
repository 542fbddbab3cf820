package nats

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	resolveEvery   = 5 * time.Second
	resolveTimeout = 3 * time.Second
	// addressKept is how long an address is tried that its name does not have any more:
	// a pod that is not ready for a while leaves the name, and is a peer all the same.
	addressKept = time.Minute

	// routeUser is whom servers say they are to each other; the password is what counts.
	routeUser = "fanoutd"
)

// Peer is where another node, or several of them, may be.
type Peer struct {
	Name string // a host's name or address; with DNS a name
	Port uint16
	DNS  bool // all addresses of the name are nodes, looked up again and again
}

// ParsePeer reads HOST:PORT or dns:NAME:PORT.
func ParsePeer(s string) (Peer, error) {
	address, dns := strings.CutPrefix(s, "dns:")
	host, text, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return Peer{}, errors.New("it is neither HOST:PORT nor dns:NAME:PORT")
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return Peer{}, errors.New("its port is no number from 1 to 65535")
	}
	if dns && net.ParseIP(host) != nil {
		return Peer{}, errors.New("it is an address already: leave dns: out")
	}
	return Peer{Name: host, Port: uint16(port), DNS: dns}, nil
}

// String returns what ParsePeer reads.
func (p Peer) String() string {
	address := net.JoinHostPort(p.Name, strconv.Itoa(int(p.Port)))
	if p.DNS {
		return "dns:" + address
	}
	return address
}

// Resolver looks names up, as net.Resolver does.
type Resolver interface {
	LookupHost(ctx context.Context, name string) (addresses []string, err error)
}

// password is what servers show each other: made from the secret, which is in no
// message and in no log.
func (e *Embedded) password() string {
	if len(e.options.Secret) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, e.options.Secret)
	mac.Write([]byte("fanoutd route " + e.options.Cluster))
	return hex.EncodeToString(mac.Sum(nil))
}

// route is the URL of a peer's server.
func (e *Embedded) route(address string) *url.URL {
	u := &url.URL{Scheme: "nats-route", Host: address}
	if p := e.password(); p != "" {
		u.User = url.UserPassword(routeUser, p)
	}
	return u
}

// staticRoutes are those that need no looking up, or that the server looks up itself.
func (e *Embedded) staticRoutes() []*url.URL {
	var routes []*url.URL
	for _, p := range e.options.Peers {
		if !p.DNS {
			routes = append(routes, e.route(p.String()))
		}
	}
	return routes
}

// followPeers keeps the server's routes those of the addresses that the peers' names
// have, until ctx ends.
func (e *Embedded) followPeers(ctx context.Context) {
	if !slices.ContainsFunc(e.options.Peers, func(p Peer) bool { return p.DNS }) {
		return
	}
	known := map[string]time.Time{} // addresses, and when their names had them last
	failing := map[string]bool{}    // names that could not be looked up
	for {
		before := slices.Sorted(maps.Keys(known))
		for _, p := range e.options.Peers {
			if !p.DNS {
				continue
			}
			addresses, err := e.lookUp(ctx, p)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil && !failing[p.Name]:
				e.log.Warn("a peer's name cannot be looked up: the addresses that are known stay", "peer", p.String(), "error", err)
			case err == nil && failing[p.Name]:
				e.log.Info("a peer's name can be looked up again", "peer", p.String())
			}
			failing[p.Name] = err != nil
			for _, a := range addresses {
				known[a] = time.Now()
			}
		}
		e.forget(known, slices.ContainsFunc(e.options.Peers, func(p Peer) bool { return failing[p.Name] }))
		if now := slices.Sorted(maps.Keys(known)); !slices.Equal(now, before) {
			e.setRoutes(now)
		}
		select {
		case <-time.After(e.options.Resolve/2 + rand.N(e.options.Resolve)):
		case <-ctx.Done():
			return
		}
	}
}

// lookUp returns the addresses, with the port, that a peer's name has now.
func (e *Embedded) lookUp(ctx context.Context, p Peer) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	hosts, err := e.options.Resolver.LookupHost(ctx, p.Name)
	for i, h := range hosts {
		hosts[i] = net.JoinHostPort(h, strconv.Itoa(int(p.Port)))
	}
	return hosts, err
}

// forget removes addresses that no name has had for a while, unless there is a route to
// the host: then a node is there. If a name could not be looked up, all stay.
func (e *Embedded) forget(known map[string]time.Time, failing bool) {
	if failing {
		return
	}
	routed := map[string]bool{}
	if routes, err := e.server.Routez(nil); err == nil {
		for _, r := range routes.Routes {
			routed[r.IP] = true
		}
	}
	for address, last := range known {
		host, _, _ := net.SplitHostPort(address) // lookUp has joined it
		if routed[host] {
			known[address] = time.Now()
		} else if time.Since(last) > addressKept {
			delete(known, address)
		}
	}
}

// setRoutes has the server connect to addresses besides the static ones.
func (e *Embedded) setRoutes(addresses []string) {
	routes := e.staticRoutes()
	for _, a := range addresses {
		routes = append(routes, e.route(a))
	}
	o, err := e.serverOptions(routes)
	if err == nil {
		err = e.server.ReloadOptions(o)
	}
	if err != nil {
		e.log.Error("the peers have changed, and the server does not take it", "error", fmt.Errorf("reloading its options: %w", err))
		return
	}
	e.log.Info("peers", "addresses", addresses)
}
