package dispatch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

func only(ids ...string) sio.Target {
	return sio.Target{Namespace: "/", Selector: room.Selector{IDs: ids}}
}

// apply carries out an operation, and waits until owners have been told to look.
func (w *world) apply(op sio.Op) {
	w.t.Helper()
	_, err := w.server.Apply(w.t.Context(), op)
	ok(w.t, err)
	time.Sleep(2 * changedDelay)
}

// The owner is told what somebody else changes, and nothing of what it changes itself until
// somebody else has.
func TestChanged(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		k := w.keeper(SubscriptionOptions{Lifecycle: true, ConsumerID: "k"})
		own := sio.Owner{Group: "g", ConsumerID: "k"}.Actor()
		c, id := w.connect("")
		ok(t, k.Ack(k.expect("+"+id, "connected /")[0].ID()))
		w.apply(sio.Join{To: only(id), Rooms: []string{"own"}, By: own})
		w.apply(sio.Update{Namespace: "/", ID: id, Changes: sio.Changes{Data: map[string]any{"own": "1"}, By: own}})
		k.expect()
		w.apply(sio.Join{To: only(id), Rooms: []string{"own"}}) // it is there
		k.expect()

		w.apply(sio.Join{To: only(id), Rooms: []string{"others"}, By: sio.Owner{Group: "g", ConsumerID: "other"}.Actor()})
		k.expect("*" + id)
		if v := k.owned[id]; !slices.Contains(v.Rooms, "others") || !slices.Contains(v.Rooms, "own") || v.Data["own"] != "1" || v.Handshake != nil {
			t.Errorf("changed: %+v", v)
		}
		w.apply(sio.Leave{To: only(id), Rooms: []string{"own"}, By: own})
		k.expect("*" + id)
		at := time.Now().Add(time.Hour)
		w.apply(sio.UpdateAll{To: only(id), Changes: sio.Changes{Expire: at}})
		k.expect("*" + id)
		if v := k.owned[id]; !v.Expire.Equal(at) || slices.Contains(v.Rooms, "own") {
			t.Errorf("changed: %+v", v)
		}
		for i := range 100 { // the newest only
			w.apply(sio.Update{Namespace: "/", ID: id, Changes: sio.Changes{Data: map[string]any{"n": i}}})
		}
		k.expect("*" + id)
		expect(t, "the newest", k.owned[id].Data["n"], any(99))

		// A change that goes before the assignment is in it, one before the end is in that.
		later, other := w.connect("")
		w.apply(sio.Join{To: only(other), Rooms: []string{"r"}})
		ok(t, k.Ack(k.expect("+"+other, "connected /")[0].ID()))
		if v := k.owned[other]; !slices.Contains(v.Rooms, "r") {
			t.Errorf("assigned: %+v", v)
		}
		w.apply(sio.Join{To: only(other), Rooms: []string{"s"}})
		later.Close()
		synctest.Wait()
		ends := k.expect("disconnected / transport close")
		ok(t, k.Ack(ends[0].ID()))
		if v := ends[0].Connection; !slices.Contains(v.Rooms, "s") {
			t.Errorf("at its end: %+v", v)
		}

		// Whoever owns it next is told what comes then.
		w.apply(sio.Join{To: only(id), Rooms: []string{"moves"}})
		k.Close()
		next := w.keeper(SubscriptionOptions{Lifecycle: true, ConsumerID: "next"})
		next.expect("+" + id)
		w.apply(sio.Leave{To: only(id), Rooms: []string{"moves"}, By: own})
		next.expect("*" + id)
		c.Close()
	})
}

// Where nobody asks for assignments changes cost nothing.
func TestChangesUnwanted(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		s := w.subscribe(SubscriptionOptions{Lifecycle: true})
		expect(t, "listens", w.Listens(), false)
		k := w.keeper(SubscriptionOptions{ConsumerID: "k"})
		expect(t, "listens", w.Listens(), true)
		k.Close()
		k.Close()
		expect(t, "listens", w.Listens(), false)
		s.Close()
	})
}

// same reports whether two connections are alike in what changes.
func same(a, b *sio.Connection) bool {
	sorted := func(list []string) []string { return slices.Sorted(slices.Values(list)) }
	return slices.Equal(sorted(a.Rooms), sorted(b.Rooms)) && maps.Equal(a.Data, b.Data) && a.UserID == b.UserID && a.Expire.Equal(b.Expire)
}

// distant is a consumer far away: what it is told is on its way for a while, and so is what it
// asks for. It keeps what it owns, and changes that as it asks for changes.
type distant struct {
	*Subscription
	w     *world
	owned map[string]sio.Connection
	told  []Handover // on their way; an end is the release
	asked []sio.Op   // likewise
	news  int        // changes that have arrived
}

func (w *world) distant(o SubscriptionOptions) *distant {
	w.t.Helper()
	o.Assignments, o.MaxInFlight = true, 10_000
	return &distant{Subscription: w.subscribe(o), w: w, owned: map[string]sio.Connection{}}
}

// poll sends it what there is, and settles all deliveries; false: there was nothing.
func (d *distant) poll() (some bool) {
	d.w.t.Helper()
	for {
		h, told := d.Handover()
		if told {
			d.told, some = append(d.told, h), true
		}
		e, more, _ := d.Poll()
		switch {
		case more:
			ok(d.w.t, d.Ack(e.ID()))
			if some = true; e.Kind == Disconnected {
				d.told = append(d.told, Handover{Released: []string{e.ConnectionID}})
			}
		case !told:
			return some
		}
	}
}

// arrive has the next n of what it is told arrive.
func (d *distant) arrive(n int) {
	for _, h := range d.told[:n] {
		for _, id := range h.Released {
			delete(d.owned, id)
		}
		for _, c := range append(h.Assigned, h.Changed...) {
			d.owned[c.ID] = c
		}
		d.news += len(h.Changed)
	}
	d.told = d.told[n:]
}

// carryOut has the next n of what it asks for done.
func (d *distant) carryOut(n int) {
	d.w.t.Helper()
	for _, op := range d.asked[:n] {
		d.w.applyNow(op)
	}
	d.asked = d.asked[n:]
}

// change asks for a random change of one that it owns.
func (d *distant) change(random *rand.Rand) {
	ids := slices.Sorted(maps.Keys(d.owned))
	if len(ids) == 0 {
		return
	}
	c := d.owned[ids[random.IntN(len(ids))]]
	op := change(random, &c, d.actor)
	d.owned[c.ID] = c
	d.asked = append(d.asked, op)
}

// change returns a random change of c, which it makes.
func change(random *rand.Rand, c *sio.Connection, by sio.Actor) sio.Op {
	name := fmt.Sprint("r", random.IntN(4))
	switch random.IntN(3) {
	case 0:
		if !slices.Contains(c.Rooms, name) {
			c.Rooms = append(slices.Clone(c.Rooms), name)
		}
		return sio.Join{To: only(c.ID), Rooms: []string{name}, By: by}
	case 1:
		c.Rooms = slices.DeleteFunc(slices.Clone(c.Rooms), func(r string) bool { return r == name })
		return sio.Leave{To: only(c.ID), Rooms: []string{name}, By: by}
	}
	data := map[string]any{name: random.IntN(100)}
	c.Data = maps.Clone(c.Data)
	if c.Data == nil {
		c.Data = map[string]any{}
	}
	maps.Copy(c.Data, data)
	return sio.UpdateAll{To: only(c.ID), Changes: sio.Changes{Data: data, By: by}}
}

func (w *world) applyNow(op sio.Op) {
	w.t.Helper()
	_, err := w.server.Apply(w.t.Context(), op)
	ok(w.t, err)
}

// Whatever changes and whoever comes and goes, and however long that is on its way: what a
// consumer was told, and did itself, is what is there, whenever it is quiet.
func TestChangedAnyCourse(t *testing.T) {
	for seed := range uint64(30) {
		inBubble(t, Options{}, func(w *world) {
			random := rand.New(rand.NewPCG(seed, 9))
			var there []*distant
			clients := map[string]*wiretest.WS{}
			born, news := 0, 0
			come := func() {
				born++
				there = append(there, w.distant(SubscriptionOptions{ConsumerID: fmt.Sprint("k", born), Lifecycle: seed%2 > 0}))
			}
			quiet := func() {
				for some := true; some; { // connections may move; and clients answer no ping
					for _, d := range there {
						d.carryOut(len(d.asked))
					}
					time.Sleep(evenInterval + 2*changedDelay)
					some = false
					for _, d := range there {
						some = d.poll() || some
						d.arrive(len(d.told))
					}
				}
				owners := map[string]int{}
				for _, d := range there {
					news, d.news = news+d.news, 0
					for id, view := range d.owned {
						owners[id]++
						now, err := w.server.Connection(t.Context(), "/", id)
						if err != nil || !same(&view, &now) {
							t.Errorf("seed %d: %s knows of %+v, and there is %+v, %v", seed, d.options.ConsumerID, view, now, err)
						}
					}
				}
				for id := range clients {
					expect(t, fmt.Sprintf("seed %d: owners of %s", seed, id), owners[id], 1)
				}
			}
			come()
			come()
			for range 300 {
				d := there[random.IntN(len(there))]
				switch ids := slices.Sorted(maps.Keys(clients)); {
				case len(ids) < 3, random.IntN(12) == 0 && len(ids) < 12:
					c, id := w.connect("")
					clients[id] = c
				case random.IntN(20) == 0:
					id := ids[random.IntN(len(ids))]
					clients[id].Close()
					delete(clients, id)
				case random.IntN(25) == 0:
					come()
				case random.IntN(25) == 0 && len(there) > 1:
					if random.IntN(2) == 0 {
						d.Drain()
						d.poll()
					}
					d.Close()
					there = slices.DeleteFunc(there, func(o *distant) bool { return o == d })
				case random.IntN(25) == 0: // its stream breaks, and what it asks for is still on its way
					again := w.distant(d.options)
					again.asked = d.asked
					there = append(slices.DeleteFunc(there, func(o *distant) bool { return o == d }), again)
				case random.IntN(4) == 0:
					w.applyNow(change(random, &sio.Connection{ID: ids[random.IntN(len(ids))]}, ""))
				case random.IntN(3) == 0:
					d.poll()
				case random.IntN(3) == 0:
					d.arrive(random.IntN(len(d.told) + 1))
				case random.IntN(3) == 0:
					d.carryOut(random.IntN(len(d.asked) + 1))
				default:
					d.change(random)
				}
				if random.IntN(4) == 0 {
					time.Sleep(time.Duration(random.IntN(int(3 * changedDelay))))
				}
				if random.IntN(10) == 0 {
					quiet()
				}
			}
			expect(t, fmt.Sprintf("seed %d: changes were told", seed), news > 10, true)
			for _, c := range clients {
				c.Close()
			}
		})
	}
}
