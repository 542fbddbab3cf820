package netpoll

import (
	"math/rand/v2"
	"testing"
)

// scripted is a Socket whose calls run a test's own code.
type scripted struct {
	Socket
	watched   int
	unwatched int
	arm       func() bool
}

func (s *scripted) Watch(*Conn) bool { s.watched = 1; return true }
func (s *scripted) Arm() bool        { return s.arm() }
func (s *scripted) Unwatch()         { s.unwatched += s.watched }

// readyFunc is a Reader that is a function.
type readyFunc func()

func (f readyFunc) Ready() { f() }

// Between the moment in which a reader has said that it parks, and the moment in
// which the socket is armed, everything may happen, the connection's end too.
func TestWhileParking(t *testing.T) {
	tests := []struct {
		name      string
		meanwhile func(c *Conn)
		armed     bool
		parks     bool
		callbacks int
		state     int32
	}{
		{"nothing", func(*Conn) {}, true, true, 0, parked},
		{"cannot be armed", func(*Conn) {}, false, false, 0, reading},
		{"readable", (*Conn).Readable, true, true, 1, reading},
		{"readable, twice", func(c *Conn) { c.Readable(); c.Readable() }, true, true, 1, reading},
		{"readable, though it cannot be armed", (*Conn).Readable, false, true, 1, reading},
		{"unparked", (*Conn).Unpark, true, true, 1, final},
		{"unparked, cannot be armed", (*Conn).Unpark, false, true, 1, final},
		{"readable and unparked", func(c *Conn) { c.Readable(); c.Unpark() }, true, true, 1, final},
		{"unparked and readable", func(c *Conn) { c.Unpark(); c.Readable() }, true, true, 1, final},
		{"ended", func(c *Conn) { c.Unpark(); c.Release() }, true, true, 1, ended},
		{"ended, cannot be armed", func(c *Conn) { c.Unpark(); c.Release() }, false, true, 1, ended},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &scripted{}
			callbacks := 0
			c := NewConn(s, readyFunc(func() { callbacks++ }))
			s.arm = func() bool { tt.meanwhile(c); return tt.armed }
			if got := c.Park(); got != tt.parks {
				t.Errorf("Park = %v, want %v", got, tt.parks)
			}
			if callbacks != tt.callbacks {
				t.Errorf("%d callbacks, want %d", callbacks, tt.callbacks)
			}
			if got := c.state.Load(); got != tt.state {
				t.Errorf("state = %d, want %d", got, tt.state)
			}
			if want := map[bool]int{true: 1}[tt.state == ended]; s.unwatched != want {
				t.Errorf("unwatched %d times, want %d", s.unwatched, want)
			}
		})
	}
}

// Whatever order things come in, there is one reader or a parked connection until
// the end, and the socket is let go of once.
func TestConnModel(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := &scripted{}
		readers, unparked, over := 1, false, false
		c := NewConn(s, readyFunc(func() { readers++ }))
		s.arm = func() bool { return r.IntN(4) > 0 }
		for step := range 30 {
			op := r.IntN(4)
			switch op {
			case 0:
				if readers == 1 && !over {
					readers--
					if !c.Park() {
						readers++
					} else if unparked && readers == 0 {
						t.Fatalf("seed %d, step %d: parked after Unpark", seed, step)
					}
				}
			case 1:
				c.Readable()
			case 2:
				c.Unpark()
				unparked = true
				if readers != 1 && !over {
					t.Fatalf("seed %d, step %d: nobody reads after Unpark", seed, step)
				}
			case 3:
				if readers == 1 {
					c.Release()
					over = true
				}
			}
			if readers < 0 || readers > 1 {
				t.Fatalf("seed %d, step %d: %d readers", seed, step, readers)
			}
			if over && s.unwatched != s.watched {
				t.Fatalf("seed %d, step %d: watched %d times, let go of %d times", seed, step, s.watched, s.unwatched)
			}
		}
	}
}
