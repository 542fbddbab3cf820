package sio

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// TestEventRate: what comes faster than the rate waits, in order, and nothing is lost;
// whoever is not read meanwhile is not closed for pings that it does not answer.
func TestEventRate(t *testing.T) {
	const perSecond, seconds = 10, 4
	opts := Options{MaxEventRate: perSecond, Engine: engineio.Options{PingInterval: time.Second, PingTimeout: time.Second}}
	inBubble(t, opts, func(w *world) {
		c, _ := w.connect("") // which counts too
		w.clearHeard()
		go func() {
			for i := range seconds*perSecond - 1 {
				c.Say(fmt.Sprintf(`42["n",%d]`, i))
			}
		}()
		next := 0
		for second := range seconds {
			synctest.Wait()
			heard := w.backend.take()
			if want := min((second+1)*perSecond-1, seconds*perSecond-1) - next; len(heard) != want {
				t.Errorf("%d events came in second %d, want %d", len(heard), second, want)
			}
			for _, got := range heard {
				expect(t, "event", got, fmt.Sprintf("event / n [%d] [] false 0", next))
				next++
			}
			time.Sleep(time.Second)
		}
		// After the first second's worth, each packet is followed by a tenth of a second.
		const delayed = (seconds-1)*perSecond + 1
		if st := w.Stats(); st.Delayed != delayed || st.Delays != delayed*time.Second/perSecond {
			t.Errorf("%d packets were delayed, by %v, want %d", st.Delayed, st.Delays, delayed)
		}
		other, _ := w.connect("")
		w.clearHeard()
		other.Say(`42["other"]`)
		expect(t, "another client", w.heardNow(), "event / other [] [] false 0")
		c.Close()
		other.Close()
	})
}

// TestEventRateEnds: the end of a session does not wait for its rate.
func TestEventRateEnds(t *testing.T) {
	inBubble(t, Options{MaxEventRate: 1}, func(w *world) {
		c, id := w.connect("")
		w.clearHeard()
		began := time.Now()
		w.apply(Disconnect{To: to(room.Selector{IDs: []string{id}}), Mode: DisconnectTransport})
		expect(t, "heard", w.heardNow(), "disconnected / "+ReasonForcedServer)
		expect(t, "waited", time.Since(began), 0)
		c.Close()
	})
}
