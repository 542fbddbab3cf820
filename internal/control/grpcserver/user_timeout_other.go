//go:build !linux

package grpcserver

import (
	"net"
	"time"
)

// setUserTimeout does nothing: see the one for Linux.
func setUserTimeout(net.Conn, time.Duration) {}
