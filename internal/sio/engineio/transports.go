package engineio

import (
	"fmt"
	"slices"
	"strings"
)

// Transport names, as in the query and the open packet.
const (
	transportPolling      = "polling"
	transportWebSocket    = "websocket"
	transportWebTransport = "webtransport"
)

// Transports are the names of those that may carry sessions. Empty: all.
type Transports []string

// ParseTransports reads a list of transports, of which there has to be one at
// least.
func ParseTransports(names []string) (Transports, error) {
	var t Transports
	for _, name := range names {
		switch name {
		case transportPolling, transportWebSocket, transportWebTransport:
			t = append(t, name)
		default:
			return nil, fmt.Errorf("%q is no transport", name)
		}
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("no transport is left")
	}
	return t, nil
}

// Has reports whether the transport of this name may carry sessions.
func (t Transports) Has(name string) bool { return len(t) == 0 || slices.Contains(t, name) }

// upgrades returns what a session that begins by this transport may be upgraded to,
// as the members of a JSON array.
func (s *Server) upgrades(protocol uint8, transport string) string {
	if transport != transportPolling {
		return ""
	}
	var all []string
	if s.opts.Transports.Has(transportWebSocket) {
		all = append(all, `"`+transportWebSocket+`"`)
	}
	if s.opts.WebTransport && protocol == 4 && s.opts.Transports.Has(transportWebTransport) {
		all = append(all, `"`+transportWebTransport+`"`)
	}
	return strings.Join(all, ",")
}
