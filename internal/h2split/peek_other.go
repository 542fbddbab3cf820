//go:build !unix

package h2split

import "net"

// peek cannot look into connections on this system.
func peek(net.Conn) (start string, ok bool) { return "", false }
