//go:build !linux

package engineio

import (
	"net"
	"syscall"
)

// scratch: sending without waiting is built for Linux; elsewhere every burst
// has a writer of its own, which is correct and costs more.
type scratch struct{ spare []*Message }

func (s *scratch) init() {}

func rawConn(net.Conn) syscall.RawConn { return nil }

func (s *scratch) trySend(syscall.RawConn, []*Message) (int, error) { return 0, nil }
