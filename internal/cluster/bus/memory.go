package bus

import (
	"bytes"
	"container/heap"
	"sync"
	"time"
)

// maxInFlight bounds what a Memory holds back for the sake of its faults.
const maxInFlight = 256 << 20 // bytes

// Memory is a bus within one process, for any number of nodes, with faults that tests
// ask for; see memory_faults.go. Without them nothing is lost but what a slow handler
// leaves waiting beyond MaxPending.
//
// Inside a bubble of testing/synctest, where it must be made then, it waits durably, and
// time passes by its delays alone. Payloads are overwritten once their handler has returned.
type Memory struct {
	mu       sync.Mutex
	nodes    []*memoryNode
	faults   func(from, to, subject string, payload []byte) Verdict
	cuts     map[way]bool
	frozen   map[string]bool
	away     map[string]bool
	flights  flights
	inFlight int               // bytes of flights, and of what frozen nodes published
	last     map[way]time.Time // when the latest flight arrives that keeps the order
	sent     uint64            // orders flights that arrive at the same time
	timer    *time.Timer       // nil until a flight has to wait
}

// way is the way from one node to another, by their names.
type way struct{ from, to string }

// flight is a message on its way to one node.
type flight struct {
	way
	to      *memoryNode
	subject string
	payload []byte
	arrives time.Time
	n       uint64
}

// NewMemory returns a bus that nobody has joined yet.
func NewMemory() *Memory {
	return &Memory{cuts: map[way]bool{}, frozen: map[string]bool{}, away: map[string]bool{}, last: map[way]time.Time{}}
}

// Join returns the bus as one node has it. Two may have one name, as a node that
// restarts and its past do; faults hit both.
func (m *Memory) Join(name string) Bus {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := &memoryNode{m: m, name: name}
	m.nodes = append(m.nodes, n)
	return n
}

// memoryNode is one node's end of a Memory, whose mutex guards it.
type memoryNode struct {
	m    *Memory
	name string

	closed        bool
	subscriptions []*memorySubscription
	held          []flight // what it published while frozen
	dropped       uint64
	running       sync.WaitGroup // the goroutines of its subscriptions
}

// Publish implements Bus.
func (n *memoryNode) Publish(subject, reply string, payload []byte) error {
	if !ValidSubject(subject) || reply != "" && !ValidSubject(reply) {
		return ErrSubject
	}
	if len(payload) > MaxPayload {
		return ErrTooLarge
	}
	receivers, faults, err := n.receivers(subject, reply)
	if err != nil {
		return err
	}
	verdicts := make([]Verdict, len(receivers))
	if faults != nil {
		for i, r := range receivers {
			verdicts[i] = faults(n.name, r.name, subject, payload)
		}
	}

	m := n.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range receivers {
		m.sendLocked(flight{way: way{n.name, r.name}, to: r, subject: subject, payload: payload}, n, verdicts[i])
	}
	m.deliverLocked()
	return nil
}

// receivers returns the nodes that subscribe to a subject, and the faults to ask. If
// there are none, reply gets the notice.
func (n *memoryNode) receivers(subject, reply string) ([]*memoryNode, func(from, to, subject string, payload []byte) Verdict, error) {
	m := n.m
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case n.closed:
		return nil, nil, ErrClosed
	case m.away[n.name]:
		n.dropped++
		return nil, nil, ErrNotConnected
	}
	var receivers []*memoryNode
	for _, r := range m.nodes {
		if r.subscribesLocked(subject) && !m.away[r.name] {
			receivers = append(receivers, r)
		}
	}
	if len(receivers) == 0 && reply != "" {
		n.noticeLocked(reply)
	}
	return receivers, m.faults, nil
}

// Subscribe implements Bus.
func (n *memoryNode) Subscribe(subject string, f func(Message)) (Subscription, error) {
	if !ValidPattern(subject) {
		return nil, ErrSubject
	}
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	if n.closed {
		return nil, ErrClosed
	}
	s := &memorySubscription{node: n, subject: subject, handler: f, wake: sync.NewCond(&n.m.mu)}
	n.subscriptions = append(n.subscriptions, s)
	n.running.Go(s.run)
	return s, nil
}

// Connected implements Bus.
func (n *memoryNode) Connected() bool {
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	return !n.closed && !n.m.away[n.name]
}

// Dropped implements Bus.
func (n *memoryNode) Dropped() uint64 {
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	return n.dropped
}

// Close implements Bus.
func (n *memoryNode) Close() error {
	n.m.closeNode(n)
	n.running.Wait()
	return nil
}

func (m *Memory) closeNode(n *memoryNode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n.closed = true
	for _, s := range n.subscriptions {
		s.endLocked()
	}
	n.subscriptions = nil
	for i, other := range m.nodes {
		if other == n {
			m.nodes = append(m.nodes[:i], m.nodes[i+1:]...)
			break
		}
	}
}

func (n *memoryNode) subscribesLocked(subject string) bool {
	for _, s := range n.subscriptions {
		if match(s.subject, subject) {
			return true
		}
	}
	return false
}

// receiveLocked queues a message for the node's subscriptions.
func (n *memoryNode) receiveLocked(message Message) {
	for _, s := range n.subscriptions {
		if match(s.subject, message.Subject) {
			s.pushLocked(message)
		}
	}
}

// noticeLocked tells one subscription, as NATS does, that nobody subscribes.
func (n *memoryNode) noticeLocked(reply string) {
	for _, s := range n.subscriptions {
		if match(s.subject, reply) {
			s.pushLocked(Message{Subject: reply, NoResponders: true})
			return
		}
	}
}

// sendLocked puts a message on its way, as the verdict says.
func (m *Memory) sendLocked(f flight, from *memoryNode, v Verdict) {
	if v.Drop || m.cuts[f.way] {
		return
	}
	f.payload = bytes.Clone(f.payload)
	now := time.Now()
	copies := 1
	if v.Double {
		copies = 2
	}
	for range copies {
		if m.inFlight+len(f.payload) > maxInFlight {
			from.dropped++
			continue
		}
		m.inFlight += len(f.payload)
		if f.arrives = now.Add(v.Delay); f.arrives.Before(m.last[f.way]) {
			f.arrives = m.last[f.way]
		}
		m.last[f.way] = f.arrives
		f.arrives = f.arrives.Add(v.HoldBack)
		m.sent++
		f.n = m.sent
		if m.frozen[from.name] {
			from.held = append(from.held, f)
		} else {
			heap.Push(&m.flights, f)
		}
	}
}

// deliverLocked delivers what has arrived, and has the rest delivered in time.
func (m *Memory) deliverLocked() {
	now := time.Now()
	for len(m.flights) > 0 && !m.flights[0].arrives.After(now) {
		f := heap.Pop(&m.flights).(flight)
		m.inFlight -= len(f.payload)
		if !m.cuts[f.way] && !m.away[f.way.to] {
			f.to.receiveLocked(Message{Subject: f.subject, Payload: f.payload})
		}
	}
	switch {
	case len(m.flights) == 0:
	case m.timer == nil:
		m.timer = time.AfterFunc(m.flights[0].arrives.Sub(now), m.deliver)
	default:
		m.timer.Reset(m.flights[0].arrives.Sub(now))
	}
}

func (m *Memory) deliver() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deliverLocked()
}
