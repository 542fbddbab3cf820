package blocks

import "time"

const (
	// settleTime is for how long a clock has to go without being set until what is over by it
	// for so long is forgotten: one that was wrong at the start of a machine is corrected
	// long before.
	settleTime = time.Hour
	// clockJump is by how much a clock may be corrected between two looks and is not taken
	// to have been set.
	clockJump = 10 * time.Second
)

// settling tells whether a wall clock can be believed. The zero value has not looked yet.
type settling struct {
	looked bool
	wall   time.Time     // at the last look
	after  time.Duration // likewise, by a clock that nobody sets
	since  time.Duration // when it was set last, as far as is known
}

// look looks at both clocks, and reports whether the wall clock can be believed.
func (s *settling) look(wall time.Time, after time.Duration) bool {
	if jump := wall.Round(0).Sub(s.wall) - (after - s.after); !s.looked || jump.Abs() > clockJump {
		s.since = after
	}
	s.looked, s.wall, s.after = true, wall.Round(0), after
	return after-s.since >= settleTime
}
