package link

import (
	"encoding/json"
	"time"
)

// announcement is what nodes tell everybody, as JSON: people read it on the bus too.
type announcement struct {
	Name        string    `json:"name"`
	Epoch       string    `json:"epoch"`
	Address     string    `json:"address,omitempty"`
	Version     string    `json:"version,omitempty"`
	Features    uint64    `json:"features,omitempty"`
	Connections int       `json:"connections"`
	Load        float64   `json:"load,omitempty"`
	Activity    *Activity `json:"activity,omitempty"`
	Started     time.Time `json:"started"`
	Ask         bool      `json:"ask,omitempty"`     // everybody is to announce itself
	Goodbye     bool      `json:"goodbye,omitempty"` // the last one
}

// Activity is what a node does for browsers. What is counted is counted since it started.
type Activity struct {
	At       time.Time      `json:"at"`                 // by the node's clock
	Sessions map[string]int `json:"sessions,omitempty"` // open, by transport
	Queued   int            `json:"queued,omitempty"`   // bytes that wait to be written to browsers
	Received uint64         `json:"received,omitempty"` // events from browsers
	Sent     uint64         `json:"sent,omitempty"`     // events queued for browsers
	Emits    uint64         `json:"emits,omitempty"`
	FanOut   time.Duration  `json:"fan_out,omitempty"` // that the emits took, together; in JSON nanoseconds
}

// maxAnnouncement bounds an announcement, in bytes.
const maxAnnouncement = 4096

func parseAnnouncement(b []byte) (a announcement, ok bool) {
	if len(b) > maxAnnouncement || json.Unmarshal(b, &a) != nil || a.Name == "" || !validEpoch(a.Epoch) || a.Connections < 0 || a.Load < 0 {
		return announcement{}, false
	}
	return a, true
}

// validEpoch reports whether this is one.
func validEpoch(epoch string) bool {
	if len(epoch) != EpochLength {
		return false
	}
	for i := range len(epoch) {
		switch c := epoch[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// announce tells everybody of this node.
func (m *Mesh) announce(ask, goodbye bool) {
	a := announcement{
		Name: m.self.Name, Epoch: m.self.Epoch, Address: m.self.Address, Version: m.self.Version, Features: m.self.Features,
		Started: m.started, Ask: ask, Goodbye: goodbye,
	}
	if m.opts.Connections != nil {
		a.Connections = m.opts.Connections()
	}
	if m.opts.Load != nil {
		a.Load = m.opts.Load()
	}
	if m.opts.Activity != nil {
		activity := m.opts.Activity()
		a.Activity = &activity
	}
	text, err := json.Marshal(&a)
	if err != nil {
		m.log.Error("this node cannot be announced", "error", err)
		return
	}
	if err := m.bus.Publish(m.subject("announce"), "", text); err != nil {
		m.log.Debug("the bus does not take an announcement", "error", err)
	}
}

// heard takes an announcement.
func (m *Mesh) heard(a *announcement) {
	if a.Epoch == m.self.Epoch {
		if a.Name != m.self.Name || !a.Started.Equal(m.started) {
			m.taken(a)
			m.answerSoon() // one that is starting takes another
		}
		return
	}
	if a.Name == m.self.Name && !a.Goodbye {
		m.doubled.Do(func() {
			what := "another node has this node's name and is older: the others take that one for gone; give each a node-name of its own"
			if newer(a.Started, a.Epoch, m.started, m.self.Epoch) {
				what = "another node has this node's name and is newer: the others take this one for gone; give each a node-name of its own"
			}
			m.log.Error(what, "node", a.Name, "epoch", a.Epoch)
		})
	}
	if p := m.meet(a); p != nil {
		p.announced(a)
	}
	if a.Ask {
		m.answerSoon()
	}
}

// newer reports whether the first of two nodes with one name is the one that stays.
func newer(started time.Time, epoch string, otherStarted time.Time, otherEpoch string) bool {
	if !started.Equal(otherStarted) {
		return started.After(otherStarted)
	}
	return epoch > otherEpoch
}
