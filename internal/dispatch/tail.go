package dispatch

import (
	"slices"
	"sync/atomic"
)

// TailFilter says what a [Tail] shows. Empty lists mean all.
type TailFilter struct {
	Namespaces  []string // names and patterns
	Events      []string // names of messages; other kinds are not filtered by it
	Connections []string
	Kinds       []Kind
}

// Tail shows events to somebody who watches. It is lossy: a watcher that is
// too slow misses events, and is told how many; it holds up no delivery.
type Tail struct {
	dispatcher *Dispatcher
	filter     TailFilter
	namespaces namespaceSet // of filter
	events     chan *Event
	bytes      atomic.Int64 // of those that Took was not given
	dropped    atomic.Uint64
}

// How far a Tail may be behind.
const (
	tailBuffer = 1024    // events
	tailBytes  = 4 << 20 // of them; one that is larger by itself is let through alone
)

// maxTails bounds the watchers: each costs every event a little.
const maxTails = 100

// Tail starts to watch; [Tail.Stop] ends it.
func (d *Dispatcher) Tail(f TailFilter) (*Tail, error) {
	t := &Tail{dispatcher: d, filter: f, namespaces: newNamespaceSet(f.Namespaces), events: make(chan *Event, tailBuffer)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.tails) >= maxTails {
		return nil, ErrTooMany
	}
	d.tails[t] = true
	return t, nil
}

// Events brings what the filter lets through; each is to be given to Took.
func (t *Tail) Events() <-chan *Event { return t.events }

// Stop ends the Tail. Events is not closed.
func (t *Tail) Stop() {
	t.dispatcher.mu.Lock()
	defer t.dispatcher.mu.Unlock()
	delete(t.dispatcher.tails, t)
}

// Took makes room for others: the event is not needed any more.
func (t *Tail) Took(e *Event) { t.bytes.Add(-int64(e.size)) }

// Dropped returns how many events were missed so far.
func (t *Tail) Dropped() uint64 { return t.dropped.Load() }

// Offer shows an event of another node's, if the filter lets it through and there is room.
func (t *Tail) Offer(e *Event) {
	e.measure()
	t.offer(e)
}

// Miss counts events that were missed before they could be offered.
func (t *Tail) Miss(n uint64) { t.dropped.Add(n) }

// Unreachable returns nothing: it is for tails over several nodes.
func (t *Tail) Unreachable() []string { return nil }

func (t *Tail) offer(e *Event) {
	if !t.shows(e) {
		return
	}
	size := int64(e.size)
	if n := t.bytes.Add(size); n <= max(size, tailBytes) {
		select {
		case t.events <- e:
			return
		default:
		}
	}
	t.bytes.Add(-size)
	t.dropped.Add(1)
}

func (t *Tail) shows(e *Event) bool {
	f := &t.filter
	in := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	return t.namespaces.contains(e.Namespace) && in(f.Connections, e.ConnectionID) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(e.Kind != Message || in(f.Events, e.Name))
}
