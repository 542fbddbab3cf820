//go:build !linux

package netpoll

import "net"

// Poller has nothing to watch here: see the package's comment.
type Poller struct{}

// Close ends the poller.
func (*Poller) Close() {}

// Watched returns how many connections the poller knows.
func (*Poller) Watched() int { return 0 }

func (*Poller) tcpSocket(*net.TCPConn) Socket { return nil }

// Vector is what [Socket.TryWrite] needs to allocate nothing.
type Vector struct{}
