package main

import (
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// sessionsEvery is how often the sessions are counted at most, for which each is looked at.
const sessionsEvery = 5 * time.Second

// activityMeter tells what this node does for browsers. It is safe for concurrent use.
type activityMeter struct {
	sockets interface {
		EventCounts() sio.EventCounts
		Stats() sio.Stats
	}

	mu       sync.Mutex
	counted  time.Time      // when the sessions were, and what waits for them; zero: never
	sessions map[string]int // by transport; replaced, never changed
	queued   int            // bytes
}

// activity is what the node does now.
func (m *activityMeter) activity() control.Activity {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counted.IsZero() || time.Since(m.counted) >= sessionsEvery {
		st := m.sockets.Stats()
		m.counted, m.sessions, m.queued = time.Now(), st.Engine.Sessions, st.Engine.Queued
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
