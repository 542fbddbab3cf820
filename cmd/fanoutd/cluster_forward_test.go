package main

import (
	"net"
	"testing"

	"github.com/fanoutd/fanoutd/internal/settings"
)

// TestForwardAddress: where other nodes look for this one's browsers' listener.
func TestForwardAddress(t *testing.T) {
	any4, one := &net.TCPAddr{IP: net.IPv4zero, Port: 8080}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 80}
	own := net.JoinHostPort(ownAddress(), "8080")
	for name, tt := range map[string]struct {
		c    clusterConfig
		at   net.Addr
		want string
	}{
		"one address":         {clusterConfig{}, one, "192.0.2.7:80"},
		"all addresses":       {clusterConfig{}, any4, own},
		"the route's":         {clusterConfig{listen: settings.Address{Network: "tcp", Name: "10.0.0.3:6222"}}, any4, "10.0.0.3:8080"},
		"a route at all":      {clusterConfig{listen: settings.Address{Network: "tcp", Name: ":6222"}}, any4, own},
		"advertised":          {clusterConfig{advertise: "node-1.example:7000"}, any4, "node-1.example:8080"},
		"advertised, no port": {clusterConfig{advertise: "node-1.example"}, any4, "node-1.example:8080"},
		"said":                {clusterConfig{forward: "10.1.1.1:9", advertise: "x"}, one, "10.1.1.1:9"},
	} {
		if got, err := tt.c.forwardAddress(tt.at); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tt.want)
		}
	}
	if _, err := (&clusterConfig{}).forwardAddress(&net.UnixAddr{Name: "/run/x"}); err == nil {
		t.Error("a unix socket is an address for other nodes")
	}
}
