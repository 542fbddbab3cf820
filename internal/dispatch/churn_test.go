package dispatch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Consumers of one group die and come all the time while browsers send numbered
// events: per connection nothing is lost, nothing overtakes, and what comes
// twice says so.
func TestChurn(t *testing.T) {
	const browsers, events = 20, 100
	inBubble(t, Options{}, func(w *world) {
		var mu sync.Mutex
		highest := map[string]int{} // by connection: the last number consumed
		consume := func(m *Subscription, lifetime time.Duration) {
			ctx, cancel := context.WithTimeout(context.Background(), lifetime)
			defer cancel()
			defer m.Close()
			for {
				d, err := m.Next(ctx)
				if err != nil {
					return
				}
				var n int
				fmt.Sscanf(d.Args, "[%d]", &n)
				mu.Lock()
				switch last := highest[d.ConnectionID]; {
				case n == last+1:
					highest[d.ConnectionID] = n
				case n <= last && d.Attempt > 1: // again
				default:
					t.Errorf("%s: event %d (attempt %d) after %d", d.ConnectionID, n, d.Attempt, last)
				}
				mu.Unlock()
				time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
				switch rand.IntN(20) {
				case 0: // forgets to acknowledge, and dies soon
				case 1:
					m.Nack(d.ID(), 0)
				default:
					m.Ack(d.ID())
				}
			}
		}
		stop := make(chan struct{})
		var consumers, senders sync.WaitGroup
		for i := range 3 {
			consumers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					m := w.subscribe(SubscriptionOptions{ConsumerID: fmt.Sprint(i, "-", n), MaxInFlight: 50})
					consume(m, time.Duration(100+rand.IntN(1000))*time.Millisecond)
				}
			})
		}
		synctest.Wait() // there is a group
		var ids []string
		for range browsers {
			c, id := w.connect("")
			ids = append(ids, id)
			senders.Go(func() {
				for n := 1; n <= events; n++ {
					c.Say(fmt.Sprintf(`42["n",%d]`, n))
					time.Sleep(time.Duration(rand.IntN(40)) * time.Millisecond)
				}
			})
			defer c.Close()
		}
		senders.Wait()
		all := func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				if highest[id] != events {
					return false
				}
			}
			return true
		}
		for range 100 {
			if all() {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		for _, id := range ids {
			mu.Lock()
			expect(t, id+": events consumed", highest[id], events)
			mu.Unlock()
		}
		close(stop)
		consumers.Wait()
		for _, g := range w.Groups() {
			expect(t, "consumers left", len(g.Subscriptions), 0)
		}
	})
}
