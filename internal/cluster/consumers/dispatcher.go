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

	mu     sync.Mutex
	closed bool
	number uint64                   // of the latest subscription
	homes  map[uint64]*Subscription // of this node's consumers
	peers  map[string]*peer         // by epoch
	tails  map[*Tail]bool           // of this node's watchers
	since  map[name]joining         // when the consumers that are there joined at their homes
	calls  calls

	numbers sync.Map // of remotes: to their *Subscription

	stalled     uint64 // consumers that did not read what came from other nodes
	lostDropped uint64 // ends of lost nodes' connections that nobody was there to hear
}

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
		homes: map[uint64]*Subscription{}, peers: map[string]*peer{}, tails: map[*Tail]bool{}, since: map[name]joining{},
		calls: calls{waiting: map[uint64]*call{}},
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

// peer is another node: what it holds for consumers of this node, and the other way round.
type peer struct {
	d     *Dispatcher
	epoch string
	name  string
	gone  chan struct{}
	once  sync.Once
	wake  chan struct{} // holds one: post has grown

	mu        sync.Mutex
	suspected bool
	facts     bool // what its groups authorise is known
	posted    []*clusterv1.ConsumerMessage
	refused   bool               // something posted was not sent: what is open with it begins anew
	served    map[uint64]*served // its consumers, here
	over      []*clusterv1.ConsumerMessage
	watches   map[uint64]*watched // its watchers, here
}

// maxPosted bounds what waits to be sent to a peer: each is the consequence of something
// that a consumer did, or that was received.
const maxPosted = 100_000

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
	p := &peer{d: d, epoch: epoch, name: nodeName, gone: make(chan struct{}), wake: make(chan struct{}, 1), served: map[uint64]*served{}, watches: map[uint64]*watched{}}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.peers[epoch] = p
	homes := d.homesLocked()
	tails := slices.Collect(maps.Keys(d.tails))
	d.mu.Unlock()
	p.tellFacts()
	for _, t := range tails {
		t.watch(p, nil)
	}
	for _, s := range homes {
		s.join(p)
	}
	d.running.Go(p.sendPosted)
}

// tellFacts tells the peer what groups authorise here.
func (p *peer) tellFacts() {
	facts := &clusterv1.Facts{}
	for group, namespaces := range p.d.local.Authorized() {
		facts.Groups = append(facts.Groups, &clusterv1.Facts_Group{Name: group, Authorized: namespaces})
	}
	p.post(&clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Facts{Facts: facts}})
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
	p.mu.Lock()
	served := p.servedLocked()
	p.mu.Unlock()
	for _, s := range served {
		s.subscription.Interrupt()
	}
	for _, s := range homes {
		s.leave(p, true)
	}
}

func (p *peer) servedLocked() []*served {
	all := make([]*served, 0, len(p.served))
	for _, s := range p.served {
		all = append(all, s)
	}
	return all
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
	case *clusterv1.ConsumerMessage_Subscribe:
		d.serve(p, m.GetNumber(), body.Subscribe)
	case *clusterv1.ConsumerMessage_Call:
		d.serveCall(p, body.Call)
	case *clusterv1.ConsumerMessage_Result:
		d.calls.answer(epoch, body.Result)
	case *clusterv1.ConsumerMessage_Limit, *clusterv1.ConsumerMessage_Settle, *clusterv1.ConsumerMessage_Drain, *clusterv1.ConsumerMessage_Close:
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

// post sends a message after those before it, and does not wait.
func (p *peer) post(m *clusterv1.ConsumerMessage) {
	p.mu.Lock()
	if len(p.posted) < maxPosted {
		p.posted = append(p.posted, m)
	} else {
		p.refused = true
	}
	p.mu.Unlock()
	p.poke()
}

func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// retryPause is how long a peer that refused something is left alone.
const retryPause = time.Second

// sendPosted sends what is posted, until the peer is gone. When something is refused,
// everything that is open with the peer begins anew, in a while.
func (p *peer) sendPosted() {
	for {
		messages, over, anew := p.takePosted()
		for i, m := range messages {
			if p.d.links.SendConsumer(p.epoch, m) != nil {
				anew = true
				messages = messages[i:]
				break
			}
		}
		if anew {
			p.giveUp()
			p.tellOverAgain(over)
			if !p.pause() {
				return
			}
			p.begin()
			continue
		}
		for i, m := range over {
			if p.d.links.SendConsumer(p.epoch, m) != nil {
				p.tellOverAgain(over[i:])
				if !p.pause() {
					return
				}
				p.poke()
				break
			}
		}
		if len(messages)+len(over) > 0 {
			continue
		}
		select {
		case <-p.wake:
		case <-p.gone:
			return
		}
	}
}

// takePosted returns what is to be sent: of consumers here, then that subscriptions of
// its consumers are over, which is tried until the peer knows.
func (p *peer) takePosted() (messages, over []*clusterv1.ConsumerMessage, anew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	messages, over, anew = p.posted, p.over, p.refused
	p.posted, p.over, p.refused = nil, nil, false
	return messages, over, anew
}

// giveUp ends what this node's consumers have at the peer.
func (p *peer) giveUp() {
	p.mu.Lock()
	p.posted = nil
	p.mu.Unlock()
	p.d.mu.Lock()
	homes := p.d.homesLocked()
	p.d.mu.Unlock()
	for _, s := range homes {
		s.leave(p, false)
	}
}

// begin has this node's consumers be members at the peer anew.
func (p *peer) begin() {
	p.tellFacts() // some may have been among what was refused
	p.d.mu.Lock()
	homes := p.d.homesLocked()
	p.d.mu.Unlock()
	for _, s := range homes {
		s.join(p)
	}
}

// tellOver has the peer told, whenever it can be, that a subscription is over.
func (p *peer) tellOver(m *clusterv1.ConsumerMessage) {
	p.mu.Lock()
	p.over = append(p.over, m)
	p.mu.Unlock()
	p.poke()
}

// tellOverAgain puts back what could not be sent of that.
func (p *peer) tellOverAgain(unsent []*clusterv1.ConsumerMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = append(slices.Clone(unsent), p.over...)
}

// pause leaves the peer alone for a while; false: it is gone.
func (p *peer) pause() bool {
	select {
	case <-time.After(retryPause):
		return true
	case <-p.gone:
		return false
	}
}

// isGone reports whether the peer is there no more.
func (p *peer) isGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}
