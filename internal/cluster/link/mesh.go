package link

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// Mesh is this node's links to all others. It is safe for concurrent use.
type Mesh struct {
	bus     bus.Bus
	self    Self
	opts    Options
	log     *slog.Logger
	handler Handler
	started time.Time

	lives         atomic.Uint32  // numbers lives and turns
	bad           atomic.Uint64  // packets that could not be read
	answering     atomic.Bool    // an announcement is due
	doubled       rate.Sometimes // logs that this node's name is another's too
	many          sync.Once
	epochTaken    chan struct{} // closed when another node has this node's epoch
	tookEpoch     sync.Once
	subscriptions []bus.Subscription

	ended    chan struct{}
	closing  sync.Once
	idle     sync.WaitGroup
	farewell sync.Once

	mu      sync.Mutex
	closed  bool
	peers   map[string]*peer // by epoch
	leaving map[string]*peer // that have ended and may call the handler still
	past    []string         // epochs that have said goodbye, the latest last
	traffic Traffic          // with peers that are gone
}

// goodbyes is how often a node says goodbye: the bus may lose messages, and until peers
// suspect a node that is gone they wait for it, and clients cannot come back as what they were.
const goodbyes = 3

// maxPast bounds the epochs that are remembered for their goodbye: what they announced
// before may arrive after it.
const maxPast = 1024

// joinLimit is how many times JoinWait New waits, at most, for peers that the bus reaches and
// that have not joined: on a busy machine a second is short, and a node that knows of nobody
// answers for itself alone.
const joinLimit = 5

// New announces self on b, finds the peers, and returns after JoinWait; later while
// peers are found that have not joined, or b is [bus.Routed] and reaches more than were found. Calls of h may come before it returns. Error: [ErrEpochTaken], and those of the bus.
func New(b bus.Bus, self Self, o Options, h Handler) (*Mesh, error) {
	o = o.withDefaults()
	if !validEpoch(self.Epoch) {
		return nil, fmt.Errorf("link: %q is no epoch", self.Epoch)
	}
	if self.Name == "" {
		return nil, fmt.Errorf("link: a node needs a name")
	}
	m := &Mesh{
		doubled: rate.Sometimes{First: 1, Interval: time.Minute},
		bus:     b, self: self, opts: o, log: o.Logger, handler: h, started: time.Now().Round(0).UTC(),
		epochTaken: make(chan struct{}), ended: make(chan struct{}), peers: map[string]*peer{}, leaving: map[string]*peer{},
	}
	for subject, f := range map[string]func(bus.Message){
		m.subject("announce"):           m.takeAnnouncement,
		m.subject("link." + self.Epoch): m.takePacket,
	} {
		s, err := b.Subscribe(subject, f)
		if err != nil {
			m.end()
			return nil, err
		}
		m.subscriptions = append(m.subscriptions, s)
	}
	m.announce(true, false)
	m.idle.Go(m.run)
	m.join()
	select {
	case <-m.epochTaken:
		m.end()
		return nil, ErrEpochTaken
	default:
		return m, nil
	}
}

// join waits for the first announcements of peers. It asks for them now and again: what was
// published before the bus had its ways to them has reached nobody.
func (m *Mesh) join() {
	if m.opts.JoinWait <= 0 {
		return
	}
	const looks, asks = 20, 5 // in JoinWait
	look := time.NewTicker(max(m.opts.JoinWait/looks, 1))
	defer look.Stop()
	others := 0
	for n := 1; n <= looks*joinLimit; n++ {
		select {
		case <-look.C:
		case <-m.epochTaken:
			return
		}
		if routed, ok := m.bus.(bus.Routed); ok {
			others = max(others, routed.Others()) // a way may break, and be back soon
		}
		if n >= looks && m.haveJoined(others) {
			return
		}
		if n%(looks/asks) == 0 {
			m.announce(true, false)
		}
	}
}

// haveJoined reports whether all peers that are known have joined, and are so many at least.
func (m *Mesh) haveJoined(number int) bool {
	peers := m.all()
	return len(peers) >= number && !slices.ContainsFunc(peers, func(p *peer) bool { return !p.joined.Load() })
}

// subject is a subject of the cluster.
func (m *Mesh) subject(name string) string { return "fanoutd." + m.opts.Cluster + "." + name }

// Peers returns what is known of the other nodes, by epoch.
func (m *Mesh) Peers() []Peer {
	var all []Peer
	for _, p := range m.all() {
		all = append(all, p.snapshot())
	}
	slices.SortFunc(all, func(a, b Peer) int { return strings.Compare(a.Epoch, b.Epoch) })
	return all
}

// Peer returns what is known of the node with this epoch, false if it is not there.
func (m *Mesh) Peer(epoch string) (Peer, bool) {
	p := m.peer(epoch)
	if p == nil {
		return Peer{}, false
	}
	return p.snapshot(), true
}

// BadPackets counts messages of the bus that were no packets, since the start.
func (m *Mesh) BadPackets() uint64 { return m.bad.Load() }

// Past returns what the links to peers that are gone have carried.
func (m *Mesh) Past() Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.traffic
}

func (m *Mesh) all() []*peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*peer, 0, len(m.peers))
	for _, p := range m.peers {
		all = append(all, p)
	}
	return all
}

func (m *Mesh) peer(epoch string) *peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.peers[epoch]
}

// takeAnnouncement takes a message of the bus.
func (m *Mesh) takeAnnouncement(msg bus.Message) {
	a, ok := parseAnnouncement(msg.Payload)
	if !ok {
		m.bad.Add(1)
		return
	}
	m.heard(&a)
}

// takePacket takes a message of the bus.
func (m *Mesh) takePacket(msg bus.Message) {
	p, err := parsePacket(msg.Payload)
	if err != nil {
		m.bad.Add(1)
		return
	}
	if p.to != m.self.Epoch {
		return
	}
	if from := m.peer(p.from); from != nil {
		from.take(p)
	} else {
		m.answerSoon() // it will announce itself, and hear of this node
	}
}

// taken notes that another node has this node's epoch.
func (m *Mesh) taken(a *announcement) {
	m.tookEpoch.Do(func() {
		m.log.Error("another node has this node's epoch", "node", a.Name, "epoch", a.Epoch)
		close(m.epochTaken)
	})
}

// answerSoon has this node announced with the next tick, however often it is asked to.
func (m *Mesh) answerSoon() { m.answering.Store(true) }

// meet returns the peer that an announcement is of: a new one if it is not known; nil if
// it says goodbye, or must not be one.
func (m *Mesh) meet(a *announcement) *peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	if p := m.peers[a.Epoch]; p != nil {
		if a.Goodbye {
			p.leaves()
			m.dropLocked(p)
			m.pastLocked(a.Epoch)
			return nil
		}
		return p
	}
	if a.Goodbye {
		m.pastLocked(a.Epoch)
	}
	if slices.Contains(m.past, a.Epoch) {
		return nil
	}
	for _, other := range m.peers {
		if other.self.Name != a.Name {
			continue
		}
		// Clocks are set: one that has restarted may seem older than what it was, which
		// does not answer then.
		if !newer(a.Started, a.Epoch, other.started, other.self.Epoch) && !other.silent() {
			return nil // the past of a node that has restarted
		}
		m.dropLocked(other)
	}
	if len(m.peers) >= maxPeers {
		m.many.Do(func() {
			m.log.Error("there are too many nodes: one more is not seen", "node", a.Name, "nodes", maxPeers+1)
		})
		return nil
	}
	return m.addLocked(a)
}

// addLocked makes a peer; its calls of the handler follow those of the one before.
func (m *Mesh) addLocked(a *announcement) *peer {
	p := newPeer(m, a, m.leaving[a.Epoch])
	m.peers[a.Epoch] = p
	m.idle.Go(func() {
		p.read()
		m.left(p)
	})
	m.idle.Go(p.write)
	return p
}

// left notes that a peer that has ended calls the handler no more.
func (m *Mesh) left(p *peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.traffic.Add(p.snapshot().Traffic)
	if m.leaving[p.self.Epoch] == p {
		delete(m.leaving, p.self.Epoch)
	}
}

// pastLocked notes that an epoch has said goodbye.
func (m *Mesh) pastLocked(epoch string) {
	if slices.Contains(m.past, epoch) {
		return
	}
	if len(m.past) == maxPast {
		m.past = slices.Delete(m.past, 0, 1)
	}
	m.past = append(m.past, epoch)
}

// dropLocked ends a peer.
func (m *Mesh) dropLocked(p *peer) {
	if m.peers[p.self.Epoch] == p {
		delete(m.peers, p.self.Epoch)
		m.leaving[p.self.Epoch] = p
	}
	p.end()
}

// renew has the link to a peer begin anew.
func (m *Mesh) renew(p *peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.peers[p.self.Epoch] != p {
		return
	}
	m.dropLocked(p)
	s := p.snapshot()
	m.addLocked(&announcement{
		Name: s.Name, Epoch: s.Epoch, Address: s.Address, Version: s.Version, Features: s.Features, Connections: s.Connections,
		Load: s.Load, Activity: s.Activity, Started: s.Started,
	})
}

// run does what is due by time.
func (m *Mesh) run() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	announced := time.Now()
	for {
		select {
		case <-ticker.C:
		case <-m.ended:
			return
		}
		now := time.Now()
		ask := now.Sub(announced) >= m.opts.Announce
		if ask || m.answering.Swap(false) {
			m.announce(false, false)
		}
		if ask {
			announced = now
		}
		for _, p := range m.all() {
			if p.due(now, ask) {
				m.mu.Lock()
				m.dropLocked(p)
				m.mu.Unlock()
			}
		}
	}
}

// Close waits until the peers have what was sent to them, or ctx is done, says goodbye,
// and returns when the handler is called no more. What was refused or is unconfirmed by
// then is lost. Error: the cause of ctx's end.
func (m *Mesh) Close(ctx context.Context) error {
	var err error
	for _, p := range m.all() {
		if e := p.flush(ctx); e != nil {
			err = e
		}
	}
	m.end()
	m.farewell.Do(func() { // nothing of this node follows it
		for range goodbyes {
			m.announce(false, true)
		}
	})
	return err
}

// end ends everything. Later calls wait for the first.
func (m *Mesh) end() {
	m.closing.Do(func() {
		for _, s := range m.subscriptions {
			if err := s.Unsubscribe(); err != nil {
				m.log.Debug("a subscription does not end", "error", err)
			}
		}
		close(m.ended)
		m.mu.Lock()
		m.closed = true
		for _, p := range m.peers {
			m.dropLocked(p)
		}
		m.mu.Unlock()
	})
	m.idle.Wait()
}
