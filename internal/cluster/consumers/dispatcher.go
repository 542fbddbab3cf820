package consumers

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/publish"
)

// Links carry messages to other nodes.
type Links interface {
	// SendConsumer sends a message to the node with this epoch, after those before it. It
	// waits for a while if too much is on its way; what it refuses is not sent.
	SendConsumer(epoch string, m *clusterv1.ConsumerMessage) error
}

// Options of a [Dispatcher].
type Options struct {
	// Epoch is this node's.
	Epoch string
	// StallTimeout is how long a consumer may read nothing of what waits for it. Default 10 s.
	StallTimeout time.Duration
	// SubscribeTimeout is how long Subscribe waits until the other nodes have the
	// consumer. Default 1 s.
	SubscribeTimeout time.Duration
	// CallTimeout is how long another node's answer is awaited. Default 5 s.
	CallTimeout time.Duration
	// Logger. Default: slog.Default().
	Logger *slog.Logger
}

// Dispatcher hands what browsers of all nodes do to consumers of this one, and what
// browsers of this one do to consumers of the others. It is safe for concurrent use.
type Dispatcher struct {
	local *dispatch.Dispatcher
	links Links
	opts  Options
	log   *slog.Logger

	ended   chan struct{}
	closing sync.Once
	running sync.WaitGroup

	joinings joinings // of the consumers that are there

	mu     sync.Mutex
	closed bool
	number uint64                   // of the latest subscription
	homes  map[uint64]*Subscription // of this node's consumers
	peers  map[string]*peer         // by epoch
	tails  map[*Tail]bool           // of this node's watchers
	calls  calls
	told   toldLost

	publications publications

	beginning map[string]bool // groups of this node's consumers that authorise, which not every node is known to know

	numbers sync.Map // of remotes: to their *Subscription

	stalled     uint64 // consumers that did not read what came from other nodes
	lostDropped uint64 // ends of lost nodes' connections that nobody was there to hear
}

// New returns a Dispatcher over this node's own. Peers come by its Joined.
func New(local *dispatch.Dispatcher, links Links, o Options) *Dispatcher {
	if o.StallTimeout == 0 {
		o.StallTimeout = 10 * time.Second
	}
	if o.SubscribeTimeout == 0 {
		o.SubscribeTimeout = time.Second
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Dispatcher{
		local: local, links: links, opts: o, log: o.Logger, ended: make(chan struct{}),
		joinings: newJoinings(o.Epoch), homes: map[uint64]*Subscription{}, peers: map[string]*peer{}, tails: map[*Tail]bool{}, beginning: map[string]bool{},
		calls: calls{waiting: map[uint64]*call{}}, publications: publications{open: map[uint64]*publish.Publication{}},
	}
}

// Close ends what is going on with other nodes. Local consumers go on.
func (d *Dispatcher) Close() {
	d.closing.Do(func() { close(d.ended) })
	d.mu.Lock()
	d.closed = true
	peers := d.peersLocked()
	d.mu.Unlock()
	for _, p := range peers {
		d.Gone(p.epoch)
	}
	d.running.Wait()
}

func (d *Dispatcher) peersLocked() []*peer {
	all := make([]*peer, 0, len(d.peers))
	for _, p := range d.peers {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *peer) int { return strings.Compare(a.epoch, b.epoch) })
	return all
}

// all returns the peers, by epoch.
func (d *Dispatcher) all() []*peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peersLocked()
}

func (d *Dispatcher) peer(epoch string) *peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peers[epoch]
}

// Joined tells of a new peer: it is told what groups authorise here, and of this node's
// consumers.
func (d *Dispatcher) Joined(epoch, nodeName string) {
	p := &peer{d: d, epoch: epoch, name: nodeName, gone: make(chan struct{}), wake: make(chan struct{}, 1), served: map[uint64]*served{}, watches: map[uint64]*watched{}, members: map[uint64]topicMember{}, published: map[uint64]*servedPublish{}}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.peers[epoch] = p
	back := d.told.take(nodeName)
	homes := d.homesLocked()
	tails := slices.Collect(maps.Keys(d.tails))
	d.mu.Unlock()
	p.returned(back, homes)
	p.tellFacts()
	p.tellReturned()
	for _, t := range tails {
		t.watch(p, nil)
	}
	for _, s := range homes {
		s.join(p)
	}
	d.running.Go(p.sendPosted)
}

// homesLocked returns this node's consumers, in the order in which they came.
func (d *Dispatcher) homesLocked() []*Subscription {
	all := make([]*Subscription, 0, len(d.homes))
	for _, s := range d.homes {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Subscription) int { return cmp.Compare(a.number, b.number) })
	return all
}

// Changed tells that a peer is suspected, or not any more.
func (d *Dispatcher) Changed(epoch string, suspected bool) {
	p := d.peer(epoch)
	if p == nil {
		return
	}
	p.mu.Lock()
	p.suspected = suspected
	served := p.servedLocked()
	p.mu.Unlock()
	if suspected {
		d.calls.fail(epoch)
		d.publications.fail(epoch)
		p.publishesOver()
		for _, s := range served {
			s.subscription.Interrupt() // others may have what it does not settle
		}
		return
	}
	p.poke()
}

// Gone tells that a peer is there no more. What was in flight between it and this node
// may have arrived or not.
func (d *Dispatcher) Gone(epoch string) {
	d.mu.Lock()
	p := d.peers[epoch]
	delete(d.peers, epoch)
	homes := d.homesLocked()
	d.mu.Unlock()
	if p == nil {
		return
	}
	p.once.Do(func() { close(p.gone) })
	p.stopWatches()
	d.calls.fail(epoch)
	d.publications.fail(epoch)
	p.publishesOver()
	p.mu.Lock()
	served := p.servedLocked()
	p.mu.Unlock()
	for _, s := range served {
		s.subscription.Interrupt()
	}
	for _, s := range homes {
		if ends := s.leave(p, true); len(ends) > 0 {
			d.mu.Lock()
			d.told.add(p, s.options.Group, ends)
			d.mu.Unlock()
		}
	}
}

// Receive takes a message of a peer. Messages of one peer come one at a time, in order.
// It does not wait.
func (d *Dispatcher) Receive(epoch string, m *clusterv1.ConsumerMessage) {
	p := d.peer(epoch)
	if p == nil {
		return
	}
	switch body := m.GetBody().(type) {
	case *clusterv1.ConsumerMessage_Facts:
		d.learn(p, body.Facts)
	case *clusterv1.ConsumerMessage_NodeLost:
		d.local.Returned(body.NodeLost.GetGroup(), body.NodeLost.GetConnectionIds())
	case *clusterv1.ConsumerMessage_Subscribe:
		d.serve(p, m.GetNumber(), body.Subscribe)
	case *clusterv1.ConsumerMessage_Call:
		d.serveCall(p, body.Call)
	case *clusterv1.ConsumerMessage_Result:
		d.calls.answer(epoch, body.Result)
	case *clusterv1.ConsumerMessage_Publish:
		d.servePublish(p, body.Publish)
	case *clusterv1.ConsumerMessage_PublishOver:
		p.publishOver(body.PublishOver)
	case *clusterv1.ConsumerMessage_Placed:
		d.publications.placed(epoch, body.Placed)
	case *clusterv1.ConsumerMessage_Outcome:
		d.publications.outcome(epoch, body.Outcome)
	case *clusterv1.ConsumerMessage_Limit, *clusterv1.ConsumerMessage_Settle, *clusterv1.ConsumerMessage_OwnershipRead, *clusterv1.ConsumerMessage_Drain, *clusterv1.ConsumerMessage_Close:
		if m.GetDrain() != nil || m.GetClose() != nil {
			p.joinsNoMore(m.GetNumber())
		}
		p.mu.Lock()
		s := p.served[m.GetNumber()]
		p.mu.Unlock()
		if s != nil {
			s.take(m)
		}
	default: // of a holder
		if s, ok := d.numbers.Load(m.GetNumber()); ok {
			s.(*Subscription).take(p, m)
		}
	}
}

// learn takes what a peer's groups authorise.
func (d *Dispatcher) learn(p *peer, f *clusterv1.Facts) {
	for _, g := range f.GetGroups() {
		if err := d.local.Authorize(g.GetName(), g.GetAuthorized()); err != nil {
			d.log.Error("what a group authorises at another node cannot be kept here: nobody may be let in by mistake, so delete groups that are not needed",
				"group", g.GetName(), "node", p.name, "error", err)
		}
	}
	p.mu.Lock()
	p.facts = true
	p.mu.Unlock()
}

// Synced waits until it is known what groups authorise at every peer that is there and
// answers, and at one at least if there are any: each knows of all groups. Before,
// nobody may be let in. Error: the cause of ctx's end.
func (d *Dispatcher) Synced(ctx context.Context) error {
	for {
		missing, known, peers := false, false, d.all()
		for _, p := range peers {
			p.mu.Lock()
			missing = missing || !p.facts && !p.suspected
			known = known || p.facts
			p.mu.Unlock()
		}
		if !missing && (known || len(peers) == 0) {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
