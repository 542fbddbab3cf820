package control

import "time"

// heartbeatInterval is after how much silence a server stream carries a
// heartbeat. Proxies end streams without data after a minute or less, and do not
// count HTTP/2 pings (HAProxy's timeout server, nginx's grpc_read_timeout). The
// contract states it.
const heartbeatInterval = 20 * time.Second

// heartbeatSender sends on a stream and knows when a heartbeat is due. It is for one
// goroutine.
type heartbeatSender[T any] struct {
	stream interface{ Send(*T) error }
	due    *time.Timer
}

// newHeartbeatSender returns one whose silence begins now. Its due is to be stopped.
func newHeartbeatSender[T any](stream interface{ Send(*T) error }) heartbeatSender[T] {
	return heartbeatSender[T]{stream: stream, due: time.NewTimer(heartbeatInterval)}
}

// send sends m and begins the silence anew.
func (s heartbeatSender[T]) send(m *T) error {
	err := s.stream.Send(m)
	s.due.Reset(heartbeatInterval)
	return err
}
