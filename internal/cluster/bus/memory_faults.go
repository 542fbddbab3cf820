package bus

import (
	"container/heap"
	"time"
)

// Verdict says what becomes of a message on its way to one node. The zero Verdict is
// to deliver it at once.
type Verdict struct {
	Drop     bool
	Double   bool          // it arrives twice, one right after the other
	Delay    time.Duration // it arrives later, and nothing that the sender sends to that node overtakes it
	HoldBack time.Duration // it arrives later, overtaken by what is sent after it, which the contract rules out
}

// SetFaults has f judge each message for each node that subscribes to it, in the order
// sent; from and to are names, and may be the same. f may be called concurrently, by
// publishers, and must not keep the payload. nil: no faults. With a seeded source of
// random numbers inside f, and one goroutine that publishes, runs repeat.
func (m *Memory) SetFaults(f func(from, to, subject string, payload []byte) Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = f
}

// Cut loses all messages from one node to another, those on their way included, until
// Heal; the other direction is not touched. As with a dead route that nobody noticed yet,
// the subscriptions there still count: publishers get no notice that nobody subscribes.
func (m *Memory) Cut(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cuts[way{from, to}] = true
	kept := m.flights[:0]
	for _, f := range m.flights {
		if f.way == (way{from, to}) {
			m.inFlight -= len(f.payload)
		} else {
			kept = append(kept, f)
		}
	}
	m.flights = kept
	heap.Init(&m.flights)
}

// Heal ends a Cut.
func (m *Memory) Heal(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.cuts, way{from, to})
}

// Freeze stops a node as far as the bus can, until Thaw: none of its handlers is called,
// and what it publishes stays where it is, as after SIGSTOP. What is sent to it waits, up
// to MaxPending. Its goroutines go on, unlike those of a stopped process.
func (m *Memory) Freeze(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen[name] = true
}

// Thaw ends a Freeze: what waits is delivered.
func (m *Memory) Thaw(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.frozen, name)
	for _, n := range m.nodes {
		if n.name != name {
			continue
		}
		for _, f := range n.held {
			heap.Push(&m.flights, f)
		}
		n.held = nil
		for _, s := range n.subscriptions {
			s.wake.Signal()
		}
	}
	m.deliverLocked()
}

// Disconnect takes the bus away from a node, as when an external server is down, until
// Reconnect: Publish is refused and nothing is received.
func (m *Memory) Disconnect(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away[name] = true
}

// Reconnect ends a Disconnect.
func (m *Memory) Reconnect(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.away, name)
}

// flights are messages on their way, the one that arrives first at index 0.
type flights []flight

func (f flights) Len() int      { return len(f) }
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f flights) Less(i, j int) bool {
	if !f[i].arrives.Equal(f[j].arrives) {
		return f[i].arrives.Before(f[j].arrives)
	}
	return f[i].n < f[j].n
}

// Push is for container/heap.
func (f *flights) Push(x any) { *f = append(*f, x.(flight)) }

// Pop is for container/heap.
func (f *flights) Pop() any {
	last := len(*f) - 1
	x := (*f)[last]
	(*f)[last] = flight{}
	*f = (*f)[:last]
	return x
}
