package sio

import (
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/metrics"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// SessionStats counts Engine.IO sessions and their packets.
type SessionStats = engineio.Stats

// Traffic counts packets of one type that went over one transport.
type Traffic = engineio.Traffic

// Stats counts what the server holds, and what it did since its start.
type Stats struct {
	Engine SessionStats

	Connections int               // now, in all namespaces
	Namespaces  int               // there are now
	Rooms       int               // in them, those of the connections' own ids included
	Offline     int               // connections that were cut off and may come back, now
	Retained    int64             // bytes that are kept for those
	Joined      uint64            // connections that there were, those that came back too
	Ended       map[string]uint64 // connections, by why
	Recoveries  map[string]uint64 // connections whose clients wished to come back as what they were, by what came of it
	Refused     map[string]uint64 // requests, by the setting that says so or what else was wrong
	Blocked     uint64            // connections that were refused because of their user
	Panics      uint64            // caught in what single browsers did
	Delayed     uint64            // packets after which their client was not read for a while, by MaxEventRate
	Delays      time.Duration     // of those, all together

	Received     uint64 // events from browsers
	AcksReceived uint64 // answers of browsers, those that nobody awaited included
	AcksSent     uint64 // answers to browsers
	Emitted      uint64 // emits applied
	Sent         uint64 // events queued for browsers
	AwaitedAcks  int    // answers of browsers that are awaited now
	Watches      int    // there are now
	WatchResyncs uint64 // watches that began anew, since their readers were too slow

	// FanOut is how long emits took, from their encoding until they were queued for
	// everybody.
	FanOut metrics.Distribution
}

// counters are what the server counts. Each change is one of atomic memory.
type counters struct {
	joined       atomic.Uint64
	ended        metrics.Labeled
	recoveries   metrics.Labeled
	blocked      atomic.Uint64
	received     atomic.Uint64
	acksReceived atomic.Uint64
	acksSent     atomic.Uint64
	emitted      atomic.Uint64
	sent         atomic.Uint64
	watchResyncs atomic.Uint64
	fanOut       *metrics.Histogram
}

func newCounters() counters {
	return counters{fanOut: metrics.NewHistogram(
		10*time.Microsecond, 25*time.Microsecond, 50*time.Microsecond,
		100*time.Microsecond, 250*time.Microsecond, 500*time.Microsecond,
		time.Millisecond, 2500*time.Microsecond, 5*time.Millisecond,
		10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond,
		100*time.Millisecond, 250*time.Millisecond, 500*time.Millisecond, time.Second,
	)}
}

// countEmit counts an emit that began then, and is queued.
func (c *counters) countEmit(began time.Time) {
	c.emitted.Add(1)
	c.fanOut.Observe(time.Since(began))
}

// Stats returns the current counts. It looks at every session, one after the other.
func (s *Server) Stats() Stats {
	c := &s.counters
	st := Stats{
		Engine: s.engine.Stats(),
		Joined: c.joined.Load(), Ended: c.ended.All(reasons...), Recoveries: c.recoveries.All(recoveryResults...), Refused: s.engine.Refused(), Panics: s.engine.Panics(),
		Blocked: c.blocked.Load(),
		Delayed: s.delays.packets.Load(), Delays: time.Duration(s.delays.time.Load()),
		Received: c.received.Load(), AcksReceived: c.acksReceived.Load(), AcksSent: c.acksSent.Load(),
		Watches: s.namespaces.watchCount(), WatchResyncs: s.counters.watchResyncs.Load(),
		Emitted: c.emitted.Load(), Sent: c.sent.Load(), AwaitedAcks: int(s.awaited.Load()),
		Retained: s.retention.kept(),
		FanOut:   c.fanOut.Distribution(),
	}
	for _, reason := range sessionReasons {
		st.Engine.Closed[reason] += 0 // it is there before anything is counted: a rate needs a first value
	}
	for _, n := range s.namespaces.all() {
		n.mu.Lock()
		st.Namespaces++
		st.Connections += n.members.Len()
		st.Rooms += n.members.RoomCount()
		if n.recovery != nil {
			st.Offline += len(n.recovery.pids)
		}
		n.mu.Unlock()
	}
	return st
}

// EventCounts counts the events of a server since its start.
type EventCounts struct {
	Received uint64        // events from browsers
	Sent     uint64        // events queued for browsers
	Emitted  uint64        // emits applied
	FanOut   time.Duration // that these took together, see [Stats]
}

// EventCounts returns the current counts, for which it looks at no session.
func (s *Server) EventCounts() EventCounts {
	c := &s.counters
	return EventCounts{Received: c.received.Load(), Sent: c.sent.Load(), Emitted: c.emitted.Load(), FanOut: c.fanOut.Distribution().Sum}
}

// ConnectionCount returns how many connections there are, in all namespaces.
func (s *Server) ConnectionCount() (connections int) {
	for _, n := range s.namespaces.all() {
		connections += n.size()
	}
	return connections
}
