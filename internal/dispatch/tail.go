package dispatch

import (
	"slices"
	"sync/atomic"
)

// TailFilter says what a [Tail] shows. Empty lists mean all.
type TailFilter struct {
	Namespaces  []string
	Events      []string // names of messages; other kinds are not filtered by it
	Connections []string
	Kinds       []Kind
}

// Tail shows events to somebody who watches. It is lossy: a watcher that is
// too slow misses events, and is told how many; it holds up no delivery.
type Tail struct {
	C <-chan *Event // what the filter lets through

	dispatcher *Dispatcher
	filter     TailFilter
	events     chan *Event
	dropped    atomic.Uint64
}

// tailBuffer is how many events a Tail may be behind.
const tailBuffer = 1024

// maxTails bounds the watchers: each costs every event a little.
const maxTails = 100

// Tail starts to watch; [Tail.Stop] ends it.
func (d *Dispatcher) Tail(f TailFilter) (*Tail, error) {
	t := &Tail{dispatcher: d, filter: f, events: make(chan *Event, tailBuffer)}
	t.C = t.events
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.tails) >= maxTails {
		return nil, ErrTooMany
	}
	d.tails[t] = true
	return t, nil
}

// Stop ends the Tail. C is not closed.
func (t *Tail) Stop() {
	t.dispatcher.mu.Lock()
	defer t.dispatcher.mu.Unlock()
	delete(t.dispatcher.tails, t)
}

// Dropped returns how many events were missed so far.
func (t *Tail) Dropped() uint64 { return t.dropped.Load() }

func (t *Tail) offer(e *Event) {
	if !t.filter.shows(e) {
		return
	}
	select {
	case t.events <- e:
	default:
		t.dropped.Add(1)
	}
}

func (f *TailFilter) shows(e *Event) bool {
	in := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	return in(f.Namespaces, e.Namespace) && in(f.Connections, e.ConnectionID) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(e.Kind != Message || in(f.Events, e.Name))
}
