package consumers

import (
	"sync"
	"time"
)

// name names a consumer.
type name struct{ group, consumer string }

// joining is when a consumer joined at its home. Clocks differ, so a home that knows of
// another with its name makes it later than that one's; and two that do not know of each
// other may be equal but for their homes.
type joining struct {
	at    int64  // Unix time in nanoseconds, about
	epoch string // of the home
}

func (j joining) before(o joining) bool { return j.at < o.at || j.at == o.at && j.epoch < o.epoch }

// joinings is when the consumers that are here, of all homes, joined there: of two with one
// name the later one stays. It is safe for concurrent use.
type joinings struct {
	epoch string // of this node

	mu     sync.Mutex
	latest map[name]joining
}

func newJoinings(epoch string) joinings { return joinings{epoch: epoch, latest: map[name]joining{}} }

// newer notes when a consumer joined at its home, and returns when the one before it with
// its name did; false: another joined later.
func (js *joinings) newer(n name, j joining) (former joining, ok bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	if former = js.latest[n]; j.before(former) {
		return former, false
	}
	js.latest[n] = j
	return former, true
}

// now notes that a consumer joins now, at this node, and returns when that is, after
// whoever has its name, and when that one joined.
func (js *joinings) now(n name) (now, former joining) {
	js.mu.Lock()
	defer js.mu.Unlock()
	former = js.latest[n]
	now = joining{max(time.Now().UnixNano(), former.at+1), js.epoch}
	js.latest[n] = now
	return now, former
}

// not notes that a consumer did not join after all, whose name former keeps.
func (js *joinings) not(n name, j, former joining) {
	js.mu.Lock()
	defer js.mu.Unlock()
	if js.latest[n] == j {
		js.latest[n] = former
	}
}

// drop forgets a name that nobody has.
func (js *joinings) drop(n name) {
	js.mu.Lock()
	defer js.mu.Unlock()
	delete(js.latest, n)
}

// joinsNot notes that a consumer did not join after all, whose name former keeps.
func (d *Dispatcher) joinsNot(n name, j, former joining) {
	d.joinings.not(n, j, former)
	d.forget(n) // if nobody has it
}

// forget drops when a consumer joined, once nobody has its name here.
func (d *Dispatcher) forget(n name) {
	for _, g := range d.local.Groups() {
		if g.Name != n.group {
			continue
		}
		for _, s := range g.Subscriptions {
			if s.ConsumerID == n.consumer {
				return
			}
		}
	}
	d.joinings.drop(n)
}
