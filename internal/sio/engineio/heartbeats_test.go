package engineio

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Pings of sessions that were opened one shortly after another go out together, none of
// them late, and none earlier than by a slot.
func TestPingsGoOutTogether(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		const sessions = 40
		width := w.server.heartbeats.width
		pinged := map[time.Time]bool{}
		for i := range sessions {
			c := w.dial(freshWS)
			defer c.Close()
			due := time.Now().Add(DefaultPingInterval)
			go func() {
				for c.Next() != "2" { // the open packet comes before
				}
				if early := time.Until(due); early < 0 || early > width {
					t.Errorf("ping %d comes %v before its time", i, early)
				}
				w.mu.Lock()
				pinged[time.Now()] = true
				w.mu.Unlock()
			}()
			time.Sleep(width / sessions)
		}
		time.Sleep(DefaultPingInterval)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(pinged); n == 0 || n > 2 {
			t.Errorf("the pings of %d sessions go out at %d times", sessions, n)
		}
	})
}

// TestHeartbeatsModel: whatever is set, set anew and unset, each deadline that stays comes
// once, exactly or a slot's width early at most.
func TestHeartbeatsModel(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			began := time.Now()
			clock := func() time.Duration { return time.Since(began) + 1 }
			var mu sync.Mutex                    // in place of those of the sessions
			want := map[*Session]time.Duration{} // the deadlines that are to come
			var b *heartbeats
			b = newHeartbeats(clock, time.Second, func(s *Session) {
				mu.Lock()
				defer mu.Unlock()
				deadline, is := want[s]
				early := deadline - clock()
				if !is || early < 0 || early > b.width || early > 0 && s.heartbeat.exact {
					t.Errorf("seed %d: called %v early of %v, exactly %v, wanted %v", seed, early, deadline, s.heartbeat.exact, is)
				}
				delete(want, s)
			})
			sessions := make([]*Session, 30)
			for i := range sessions {
				sessions[i] = &Session{}
			}
			for range 2000 {
				s := sessions[r.IntN(len(sessions))]
				mu.Lock()
				switch r.IntN(4) {
				case 0:
					b.unset(s)
					delete(want, s)
				default:
					wait := time.Duration(r.IntN(int([]time.Duration{b.width, time.Second, time.Minute}[r.IntN(3)])))
					want[s] = clock() + max(wait, 1)
					b.set(s, want[s], r.IntN(2) == 0)
				}
				mu.Unlock()
				time.Sleep(time.Duration(r.IntN(int(3 * b.width))))
				synctest.Wait()
			}
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if len(want) > 0 {
				t.Errorf("seed %d: %d deadlines never came", seed, len(want))
			}
		})
	}
}
