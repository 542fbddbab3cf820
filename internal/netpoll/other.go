//go:build !linux

package netpoll

import (
	"net"
	"syscall"
)

// Poller has nothing to watch here: see the package's comment.
type Poller struct{}

// Close ends the poller.
func (*Poller) Close() {}

// Watched returns how many connections the poller knows.
func (*Poller) Watched() int { return 0 }

func (*Poller) tcpSocket(*net.TCPConn) Socket { return nil }

// HangUp has no effect here: see the one for Linux.
type HangUp struct{}

// OnHangUp returns nil.
func (*Poller) OnHangUp(syscall.Conn, func()) *HangUp { return nil }

// Stop does nothing.
func (*HangUp) Stop() {}

// Turn has no effect here: see the one for Linux.
type Turn struct{}

// NewTurn returns nil.
func NewTurn() *Turn { return nil }

// Give does nothing.
func (*Turn) Give() {}

// Close does nothing.
func (*Turn) Close() {}

// ringBatch is what makes writes together on Linux.
type ringBatch struct{ ring interface{ close() } }

func newRingBatch() *ringBatch { return nil }

func (*ringBatch) add(*write, Socket, [][]byte) int { return 0 }

func (*ringBatch) write() {}

// Vector is what [Socket.TryWrite] needs to allocate nothing.
type Vector struct{}
