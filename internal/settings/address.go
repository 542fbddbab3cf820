package settings

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"syscall"
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

// Meets reports whether nobody can listen at both addresses at once. It looks no name
// up but localhost.
func (a Address) Meets(b Address) bool {
	if a.IsZero() || b.IsZero() || a.Network != b.Network {
		return false
	}
	if a.Network == "unix" {
		return path.Clean(a.Name) == path.Clean(b.Name)
	}
	hostA, portA := a.hostPort()
	hostB, portB := b.hostPort()
	if portA != portB || portA == 0 {
		return false
	}
	return hostA == hostB || covers(hostA, hostB) || covers(hostB, hostA)
}

// hostPort takes an address of TCP apart. The host that is every interface is empty.
func (a Address) hostPort() (string, uint64) {
	host, port, _ := net.SplitHostPort(a.Name)
	number, _ := strconv.ParseUint(port, 10, 16)
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return strings.ToLower(host), number
	case ip == netip.IPv6Unspecified():
		return "", number
	}
	return ip.Unmap().String(), number
}

// covers reports whether who listens at every interface listens at host too. Of a name it is
// not known whether it has IPv4.
func covers(every, host string) bool {
	switch every {
	case "":
		return true
	case "0.0.0.0":
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Is4() || host == ""
	}
	return false
}

// maxUnix is how long the path of a unix socket may be, in bytes: it ends with a zero.
const maxUnix = len(syscall.RawSockaddrUnix{}.Path) - 1

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
	if socket, ok := strings.CutPrefix(raw, "unix:"); ok && unix && strings.HasPrefix(socket, "/") {
		if len(socket) > maxUnix {
			return Address{}, fmt.Errorf("%d bytes are too many for the path of a unix socket, which may have %d", len(socket), maxUnix)
		}
		return Address{"unix", socket}, nil
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
