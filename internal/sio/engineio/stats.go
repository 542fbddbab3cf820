package engineio

import (
	"sync/atomic"

	"github.com/fanoutd/fanoutd/internal/metrics"
)

// Stats counts what a server holds, and what it did since its start.
type Stats struct {
	Sessions map[string]int    // open now, by transport
	Opened   map[string]uint64 // sessions, by the transport that they began with
	Closed   map[string]uint64 // sessions, by their Reason

	Upgrades       map[string]uint64 // that were completed, by transport
	FailedUpgrades uint64            // candidates that did not take their session over

	Queued       int // bytes that wait to be written, in all sessions
	LargestQueue int // of those, in one session at most

	Received, Sent []Traffic

	Dropped   uint64 // volatile packets that slow clients did not get
	Conflated uint64 // packets that newer ones with their key replaced
	Slow      uint64 // sessions closed with [ReasonSlowConsumer]
}

// counters are what sessions count beside their traffic. Each change is one of
// atomic memory, so that it may happen under any lock.
type counters struct {
	opened, upgraded [len(trafficTransports)]atomic.Uint64
	failedUpgrades   atomic.Uint64
	dropped          atomic.Uint64   // volatile packets
	conflated        atomic.Uint64   // packets
	closed           metrics.Labeled // by Reason
}

// Stats returns the current counts. It looks at every session, one after the other.
func (s *Server) Stats() Stats {
	st := Stats{
		Sessions: s.noSessions(),
		Opened:   map[string]uint64{}, Closed: s.counters.closed.All(Reasons...), Upgrades: map[string]uint64{},
		FailedUpgrades: s.counters.failedUpgrades.Load(),
		Received:       s.traffic.all(received), Sent: s.traffic.all(sent),
		Dropped: s.counters.dropped.Load(), Conflated: s.counters.conflated.Load(),
	}
	for i, name := range trafficTransports {
		if _, served := st.Sessions[name]; served {
			st.Opened[name] = s.counters.opened[i].Load()
			st.Upgrades[name] = s.counters.upgraded[i].Load()
		}
	}
	delete(st.Upgrades, transportPolling)
	st.Slow = st.Closed[string(ReasonSlowConsumer)]
	for _, sess := range s.all() {
		st.Sessions[sess.Transport()]++
		queued := sess.Queued()
		st.Queued += queued
		st.LargestQueue = max(st.LargestQueue, queued)
	}
	return st
}

// noSessions is the count of no sessions for each transport that is served.
func (s *Server) noSessions() map[string]int {
	n := map[string]int{transportPolling: 0, transportWebSocket: 0}
	if s.opts.WebTransport {
		n[transportWebTransport] = 0
	}
	return n
}
