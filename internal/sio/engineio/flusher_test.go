package engineio

import (
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/netpoll"
)

// busyFlusher is a flusher that has a connection to write to, and never does.
func busyFlusher() *flusher {
	x := &flusher{woken: []*wsConn{{}}}
	x.work.L, x.turned.L = &x.mu, &x.mu
	return x
}

// Emitters are ahead of the writers by so many bytes in all, whoever they are sent to, and
// then wait for a pass.
func TestEmittersAreAheadWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const emit = 1000
		x := busyFlusher()
		f := &flushers{all: []*flusher{x}}
		stop, emitted := false, 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for !stop {
				f.pace(emit)
				emitted += emit
			}
		}()
		synctest.Wait() // it waits
		if emitted <= MaxAhead || emitted > MaxAhead+2*emit {
			t.Errorf("emitted %d bytes ahead of a pass, want %d", emitted, MaxAhead)
		}
		stop = true
		f.stop()
		<-done
	})
}

// A connection that has gathered much has emitters wait, but one that is slow does not.
func TestCrowdedConnectionPacesEmitters(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x := busyFlusher()
			f := &flushers{all: []*flusher{x}}
			c := &wsConn{socket: netpoll.NewConn(nil, nil), flusher: x}
			c.slow.Store(slow)
			o := &outbox{limit: 1 << 20, holder: c, busy: true}
			m := Text(make([]byte, 10_000))
			pushed := 0
			done := make(chan struct{})
			go func() {
				defer close(done)
				for o.push(m) == nil {
					pushed++
					f.pace(m.size())
				}
			}()
			synctest.Wait()
			select {
			case <-done:
				if !slow {
					t.Error("no emitter waits for a connection that has gathered much")
				}
			default:
				if slow {
					t.Error("an emitter waits for a slow connection")
				}
			}
			if most := o.limit/gatheredShare + m.size(); !slow && pushed*m.size() > most {
				t.Errorf("%d bytes have gathered, want %d at most", pushed*m.size(), most)
			}
			f.stop()
			<-done
		})
	}
}

// wake makes a connection that was slow the flusher's again.
func TestSlowUntilItIsWoken(t *testing.T) {
	x := busyFlusher()
	c := &wsConn{socket: netpoll.NewConn(nil, nil), flusher: x}
	c.slow.Store(true)
	c.wake()
	if c.crowded(); !x.crowded {
		t.Error("a connection that the flusher writes to again does not pace emitters")
	}
}
