package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// busySockets counts how often each of its sessions was looked at, which takes so long.
type busySockets struct {
	looked int
	takes  time.Duration
}

func (s *busySockets) Stats() sio.Stats {
	s.looked++
	time.Sleep(s.takes)
	var st sio.Stats
	st.Engine.Sessions, st.Engine.Queued = map[string]int{"polling": s.looked}, s.looked
	return st
}

func (s *busySockets) EventCounts() sio.EventCounts {
	return sio.EventCounts{Received: 1, Sent: 2, Emitted: 3, FanOut: 4}
}

// Events are counted at once. Sessions are too where that is quickly done, and otherwise for a
// hundredth of the time at most, however often somebody asks.
func TestActivity(t *testing.T) {
	for _, tt := range []struct {
		takes time.Duration
		looks int // in 10 s, with a question each second
	}{{0, 10}, {10 * time.Millisecond, 10}, {50 * time.Millisecond, 2}} {
		synctest.Test(t, func(t *testing.T) {
			s := &busySockets{takes: tt.takes}
			m := activityMeter{sockets: s}
			for range 10 {
				begun := time.Now()
				a := m.activity()
				if !a.At.Equal(time.Now()) || a.Received != 1 || a.Sent != 2 || a.Emits != 3 || a.FanOut != 4 {
					t.Fatalf("what is counted: %+v", a)
				}
				if a.Sessions["polling"] != s.looked || a.Queued != s.looked {
					t.Errorf("looked %d times, and told %+v", s.looked, a)
				}
				time.Sleep(time.Second + 2*tt.takes - time.Since(begun))
			}
			if s.looked != tt.looks {
				t.Errorf("a look that takes %s: there were %d, want %d", tt.takes, s.looked, tt.looks)
			}
		})
	}
}
