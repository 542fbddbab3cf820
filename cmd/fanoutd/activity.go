package main

import (
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// sessionsShare is how much of the time may go by with counting sessions, for which each is
// looked at: one in so many. Of a thousand they are counted whenever somebody asks, of
// 200,000 every few seconds.
const sessionsShare = 100

// activityMeter tells what this node does for browsers. It is safe for concurrent use.
type activityMeter struct {
	sockets interface {
		EventCounts() sio.EventCounts
		Stats() sio.Stats
	}

	mu       sync.Mutex
	until    time.Time      // until then the sessions are not counted once more, nor what waits for them
	sessions map[string]int // by transport; replaced, never changed
	queued   int            // bytes
}

// activity is what the node does now.
func (m *activityMeter) activity() control.Activity {
	m.mu.Lock()
	defer m.mu.Unlock()
	if begun := time.Now(); !begun.Before(m.until) {
		st := m.sockets.Stats()
		m.sessions, m.queued = st.Engine.Sessions, st.Engine.Queued
		m.until = time.Now().Add(sessionsShare * time.Since(begun))
	}
	events := m.sockets.EventCounts()
	return control.Activity{
		At: time.Now(), Sessions: m.sessions, Queued: m.queued,
		Received: events.Received, Sent: events.Sent, Emits: events.Emitted, FanOut: events.FanOut,
	}
}

// activity is what this node does for browsers.
func (d *daemon) activity() control.Activity { return d.active.activity() }

// announcedActivity is the same, for the other nodes.
func (d *daemon) announcedActivity() link.Activity { return link.Activity(d.activity()) }
