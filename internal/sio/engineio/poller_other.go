//go:build !linux

package engineio

// poller: watching silent connections is built for Linux; elsewhere each keeps
// its goroutine.
type poller struct{}

type lazyPoller struct{}

func (*lazyPoller) get() *poller { return nil }

func (*lazyPoller) stop() {}

type parking struct{}

func (*poller) watch(*wsConn) bool { return false }

func (*wsConn) forget() {}

func (*wsConn) silent() bool { return false }
