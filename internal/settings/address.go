package settings

import (
	"net"
	"strconv"
	"strings"
)

// Address is where somebody listens. The zero value is nowhere.
type Address struct {
	Network string // "tcp" or "unix"
	Name    string // host:port, or the path of the socket
}

// IsZero reports whether the address is nowhere.
func (a Address) IsZero() bool { return a.Name == "" }

func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Name
	}
	return a.Name
}

// Private reports whether only this machine can reach the address. A name other
// than localhost may mean anything.
func (a Address) Private() bool {
	if a.Network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(a.Name)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// HostPort is HOST:PORT, or :PORT for every interface. An empty initial value
// makes the setting optional: empty is nowhere.
func HostPort(to *Address, initial string) Value {
	return newAddress(to, initial, "HOST:PORT or :PORT", false)
}

// HostPortOrUnix is a HostPort or unix:/PATH.
func HostPortOrUnix(to *Address, initial string) Value {
	return newAddress(to, initial, "HOST:PORT or :PORT or unix:/PATH", true)
}

func newAddress(to *Address, initial, allowed string, unix bool) Value {
	return Scalar(to, initial, allowed, func(raw string) (Address, error) {
		if raw == "" && initial == "" {
			return Address{}, nil
		}
		return parseAddress(raw, unix)
	})
}

func parseAddress(raw string, unix bool) (Address, error) {
	if path, ok := strings.CutPrefix(raw, "unix:"); ok && unix && strings.HasPrefix(path, "/") {
		return Address{"unix", path}, nil
	}
	_, port, err := net.SplitHostPort(raw)
	if err != nil {
		return Address{}, ErrNotAllowed
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Address{}, ErrNotAllowed
	}
	return Address{"tcp", raw}, nil
}
