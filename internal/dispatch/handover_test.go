package dispatch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// keeper is a consumer that keeps the connections that it owns, as it is told.
type keeper struct {
	*Subscription
	t     *testing.T
	owned map[string]sio.Connection
	said  []string // "+id", "-id", "*id" for a change, and deliveries
}

func (w *world) keeper(o SubscriptionOptions) *keeper {
	w.t.Helper()
	o.Assignments = true
	return &keeper{w.subscribe(o), w.t, map[string]sio.Connection{}, nil}
}

// follow takes all that there is now, and returns the deliveries. What comes of a
// connection that is not owned is wrong, but for a Connecting.
func (k *keeper) follow() (all []Delivery) {
	k.t.Helper()
	for {
		k.takeHandovers()
		d, more, _ := k.Poll()
		if !more && !k.takeHandovers() {
			return all
		}
		if !more {
			continue
		}
		if _, ok := k.owned[d.ConnectionID]; !ok && d.Kind != Connecting {
			k.t.Errorf("%s (%s) is delivered to a consumer that was not told that it owns the connection", d.ID(), show(d))
		}
		if d.Kind == Disconnected {
			delete(k.owned, d.ConnectionID)
		}
		k.said = append(k.said, show(d))
		all = append(all, d)
	}
}

// takeHandovers takes all that it is to be told of what it owns; false: there was nothing.
func (k *keeper) takeHandovers() (told bool) {
	k.t.Helper()
	for h, ok := k.Handover(); ok; h, ok = k.Handover() {
		told = true
		for _, id := range h.Released {
			if _, ok := k.owned[id]; !ok {
				k.t.Errorf("%s is released, which was not assigned", id)
			}
			delete(k.owned, id)
			k.said = append(k.said, "-"+id)
		}
		for _, c := range h.Assigned {
			if _, ok := k.owned[c.ID]; ok {
				k.t.Errorf("%s is assigned twice", c.ID)
			}
			k.owned[c.ID] = c
			k.said = append(k.said, "+"+c.ID)
		}
		for _, c := range h.Changed {
			if _, ok := k.owned[c.ID]; !ok {
				k.t.Errorf("%s has changed, which was not assigned", c.ID)
			}
			k.owned[c.ID] = c
			k.said = append(k.said, "*"+c.ID)
		}
	}
	return told
}

// expect follows, and compares what was said with wants.
func (k *keeper) expect(wants ...string) []Delivery {
	k.t.Helper()
	synctest.Wait()
	all := k.follow()
	if got, want := strings.Join(k.said, "\n"), strings.Join(wants, "\n"); got != want {
		k.t.Fatalf("said:\n%s\nwant:\n%s", got, want)
	}
	k.said = nil
	return all
}

// A consumer is killed while it owns 1,000 connections: the one that takes over is told
// of all of them, as they are now, before their next event.
func TestTakeOver(t *testing.T) {
	const browsers = 1000
	granted := grants{User: "u", Rooms: []string{"r"}, Data: map[string]any{"a": "b"}}
	inBubble(t, Options{}, func(w *world) {
		dead := w.keeper(SubscriptionOptions{ConsumerID: "dead", Lifecycle: true, MaxInFlight: 10_000})
		var all []*wiretest.WS
		var ids []string
		for range browsers {
			c, id := w.connect("")
			all, ids = append(all, c), append(ids, id)
			defer c.Close()
		}
		synctest.Wait()
		for _, d := range dead.follow() {
			ok(t, dead.Ack(d.ID()))
		}
		expect(t, "connections of the first", len(dead.owned), browsers)
		for _, c := range all[:browsers/2] {
			c.Say(`42["in flight"]`)
		}
		synctest.Wait()
		expect(t, "deliveries in flight", len(dead.follow()), browsers/2)
		dead.Close()
		for _, c := range all[browsers/2:] {
			c.Say(`42["next"]`)
		}
		_, err := w.server.Apply(t.Context(), sio.Join{To: sio.Target{Namespace: "/", Selector: room.Selector{All: true}}, Rooms: []string{"later"}})
		ok(t, err)
		synctest.Wait()

		next := w.keeper(SubscriptionOptions{ConsumerID: "next", Lifecycle: true, MaxInFlight: 10_000})
		synctest.Wait()
		for settled := 0; settled < browsers; { // suspects come one at a time
			all := next.follow()
			if len(all) == 0 {
				t.Fatalf("%d deliveries, want %d", settled, browsers)
			}
			for _, d := range all {
				ok(t, next.Ack(d.ID()))
				settled++
			}
		}
		expect(t, "connections", len(next.owned), browsers)
		for _, id := range ids {
			c := next.owned[id]
			if c.UserID != "u" || !slices.Contains(c.Rooms, "r") || !slices.Contains(c.Rooms, "later") || c.Data["a"] != "b" ||
				c.Handshake.URL == "" || c.Handshake.Query["EIO"] != "4" || c.RemoteAddr == "" || c.ConnectedAt.IsZero() || c.Handshake.Headers == nil {
				t.Fatalf("connection %+v", c)
			}
		}
	}, granted)
}

// Assigned comes before CONNECTED and everything else; a DISCONNECTED stands for the
// release, also when it is delivered again.
func TestHandoverFollowsTheLife(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		k := w.keeper(SubscriptionOptions{Lifecycle: true, Authorize: true})
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say("40")
		id := k.expect("connecting / []")[0].ConnectionID
		ok(t, k.Verdict(id+".1", Verdict{Allow: true, User: "u"}))
		c.Next()
		ok(t, k.Ack(k.expect("+"+id, "connected /")[0].ID()))
		expect(t, "user", k.owned[id].UserID, "u")
		c.Say(`42["a"]`)
		ok(t, k.Ack(k.expect("message / a[]")[0].ID()))
		c.Say("41")
		gone := k.expect("disconnected / client namespace disconnect")[0]
		ok(t, k.Nack(gone.ID(), time.Second))
		synctest.Wait()
		_, told := k.Cancelled()
		expect(t, "the end is cancelled", told, true)
		time.Sleep(2 * time.Second)
		ok(t, k.Ack(k.expect("+"+id, "disconnected / client namespace disconnect attempt 2")[0].ID()))
		k.expect()
		c.Close()
	})
}

// Without the lifecycle, too, every connection belongs to a consumer and is announced and
// released: those that were there, and those that come.
func TestHandoverWithoutLifecycle(t *testing.T) {
	for _, o := range []SubscriptionOptions{{}, {Lifecycle: true, SkipExisting: true}} {
		inBubble(t, Options{}, func(w *world) {
			silent := w.subscribe(SubscriptionOptions{Group: "other"})
			c, id := w.connect("")
			other, _ := w.connect("/chat")
			synctest.Wait() // connected has been told
			o.Namespaces = []string{"/"}
			k := w.keeper(o)
			k.expect("+" + id)
			c.Say(`42["a"]`)
			ok(t, k.Ack(k.expect("message / a[]")[0].ID()))
			silent.settle(t, 1)
			c.Close()
			if !o.Lifecycle {
				k.expect("-" + id)
				d, new := w.connect("")
				k.expect("+" + new)
				d.Close()
				k.expect("-" + new)
			}
			other.Close()
			k.Close()
		})
	}
}

// A connection that moves is released here and assigned there; one that leaves or drains
// gives all away.
func TestHandoverMoves(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.keeper(SubscriptionOptions{ConsumerID: "a", AckWait: time.Second})
		c, id := w.connect("")
		defer c.Close()
		c.Say(`42["a"]`)
		a.expect("+"+id, "message / a[]")
		b := w.keeper(SubscriptionOptions{ConsumerID: "b", AckWait: time.Minute})
		b.expect()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		_, told := a.Cancelled()
		expect(t, "cancelled", told, true)
		a.expect("-" + id)
		d := b.expect("+"+id, "message / a[] attempt 2")[0]
		b.Drain()
		b.expect()
		ok(t, b.Ack(d.ID()))
		b.expect("-" + id)
		a.expect("+" + id)
		plain := w.subscribe(SubscriptionOptions{ConsumerID: "plain"})
		a.Drain()
		a.expect("-" + id)
		c.Say(`42["b"]`)
		plain.settle(t, 1)
		if h, told := plain.Handover(); told {
			t.Errorf("%+v, for who did not ask", h)
		}
	})
}

// Connections are described in pieces, and what was told of goes on meanwhile.
func TestHandoverInPieces(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var ids []string
		var all []*wiretest.WS
		for range 2*maxHandover + 10 {
			c, id := w.connect("")
			defer c.Close()
			all, ids = append(all, c), append(ids, id)
		}
		k := w.keeper(SubscriptionOptions{})
		first, _ := k.Handover()
		expect(t, "the first piece", len(first.Assigned), maxHandover)
		all[0].Say(`42["told"]`)
		synctest.Wait()
		all[len(all)-1].Say(`42["untold"]`)
		synctest.Wait()
		d, there, err := k.Poll()
		ok(t, err)
		if !there || d.Name != "told" {
			t.Fatalf("delivered %v", d)
		}
		_, there, _ = k.Poll()
		expect(t, "what is untold is delivered", there, false)
		second, _ := k.Handover()
		expect(t, "the next of the second piece", second.Assigned[0].ID, ids[len(ids)-1])
		d, there, _ = k.Poll()
		if !there || d.Name != "untold" {
			t.Fatalf("delivered %v", d)
		}
		third, _ := k.Handover()
		expect(t, "connections", len(first.Assigned)+len(second.Assigned)+len(third.Assigned), len(ids))
	})
}

// Consumers die, drain and come all the time while browsers come, send and go: whatever
// is delivered is of a connection that the consumer was told it owns.
func TestHandoverChurn(t *testing.T) {
	const browsers, events = 30, 40
	inBubble(t, Options{}, func(w *world) {
		stop := make(chan struct{})
		stopped := func() bool {
			select {
			case <-stop:
				return true
			default:
				return false
			}
		}
		var consumers, senders sync.WaitGroup
		for i := range 3 {
			consumers.Go(func() {
				for n := 0; !stopped(); n++ {
					k := w.keeper(SubscriptionOptions{
						ConsumerID: fmt.Sprint(i, "-", n), MaxInFlight: 20, AckWait: 200 * time.Millisecond,
						Lifecycle: i > 0, SkipExisting: i == 2,
					})
					for end := time.Now().Add(time.Duration(100+rand.IntN(400)) * time.Millisecond); time.Now().Before(end); {
						for _, d := range k.follow() {
							switch rand.IntN(20) {
							case 0:
							case 1:
								k.Nack(d.ID(), 10*time.Millisecond)
							default:
								k.Ack(d.ID())
							}
						}
						for told := true; told; {
							_, told = k.Cancelled()
						}
						if rand.IntN(100) == 0 {
							k.Drain()
						}
						time.Sleep(time.Duration(1+rand.IntN(5)) * time.Millisecond)
					}
					k.Close()
				}
			})
		}
		for range browsers {
			senders.Go(func() {
				for range 2 {
					c, _ := w.connect("")
					for n := range events {
						c.Say(fmt.Sprintf(`42["n",%d]`, n))
						time.Sleep(time.Duration(1+rand.IntN(30)) * time.Millisecond)
					}
					c.Close()
				}
			})
		}
		senders.Wait()
		close(stop)
		consumers.Wait()
	})
}
