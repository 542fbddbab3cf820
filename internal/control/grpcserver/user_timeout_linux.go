package grpcserver

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout has the system end a connection over TCP whose peer has not taken what was sent to it for so long. gRPC
// does it for a bare [*net.TCPConn] alone. A socket that does not know the option, of Multipath TCP, say, is left as it
// is: pings tell, later.
func setUserTimeout(c net.Conn, timeout time.Duration) {
	for c != nil {
		switch above := c.(type) {
		case *net.TCPConn:
			if raw, err := above.SyscallConn(); err == nil {
				_ = raw.Control(func(fd uintptr) {
					_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
				})
			}
			return
		case interface{ NetConn() net.Conn }:
			c = above.NetConn()
		default:
			return
		}
	}
}
