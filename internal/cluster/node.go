package cluster

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/interest"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/idempotency"
)

// EpochLength is the length of an epoch, which every id of its node begins with.
const EpochLength = link.EpochLength

// Options of a [Node]. Self is required.
type Options struct {
	// Self is what the peers are told of this node.
	Self link.Self
	// Link configures the links to the peers.
	Link link.Options
	// AnswerTimeout is how long a peer's answer is awaited at most; the caller's
	// deadline may be shorter. Default 5 s.
	AnswerTimeout time.Duration
	// ConfirmTimeout is how long an operation waits until the peers know of rooms and
	// users that are new to this node. Default 1 s.
	ConfirmTimeout time.Duration
	// Drain is this node's, which peers may begin and follow. Nil: they cannot.
	Drain *drain.Drain
	// Blocks is who may not connect, here; its changes are to be made through the Node.
	// Nil: nobody can be blocked.
	Blocks *blocks.Keeper
	// Settings are those that all nodes have to have alike, by name: their values, as text that
	// is the same where the values mean the same. A peer that has others is logged.
	Settings map[string]string
	// Logger. Default: slog.Default().
	Logger *slog.Logger
}

// Node is this node of a cluster: a [Hub] over the connections of all of them. It is
// made by [New] and works alone until [Node.Start]. It is safe for concurrent use.
type Node struct {
	opts     Options
	log      *slog.Logger
	interest *ownInterest
	keys     *idempotency.Table // that this node owns, or is the second for

	// Set by Start.
	hub  Server
	mesh *link.Mesh

	consumers Consumers // hears what other nodes' dispatchers say; nil: nobody does

	peers atomic.Pointer[[]*peer] // by epoch; replaced under mu

	mu     sync.Mutex // guards peers' replacement, and the following
	joined time.Time  // when the latest peer joined; zero: none has

	moving   atomic.Bool // sessions are being closed, for a rebalance
	requests requests
	watches  watches
	applying applying

	blockPages atomic.Uint64 // that peers have told this node

	serving sync.WaitGroup // of peers' requests
	started chan struct{}  // closed by Start, when mesh is there
	ended   chan struct{}  // closed by Close
	closing sync.Once
}

// New returns a Node that has no peers yet.
func New(o Options) *Node {
	if o.AnswerTimeout == 0 {
		o.AnswerTimeout = 5 * time.Second
	}
	if o.ConfirmTimeout == 0 {
		o.ConfirmTimeout = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	n := &Node{opts: o, log: o.Logger, interest: newOwnInterest(o.Self.Epoch), keys: idempotency.NewTable(idempotency.Count), started: make(chan struct{}), ended: make(chan struct{})}
	n.peers.Store(new([]*peer))
	n.requests.pending = map[requestKey]*request{}
	return n
}

// Start makes the connections of hub, which has this node's Interest, the cluster's, and
// finds the peers on b. It is called once, before anything else but Interest and Backend.
func (n *Node) Start(hub Server, b bus.Bus) error {
	n.hub = hub
	mesh, err := link.New(b, n.opts.Self, n.opts.Link, (*handler)(n))
	if err != nil {
		n.end()
		return err
	}
	n.mesh = mesh
	close(n.started)
	return nil
}

// Close says goodbye to the peers, when they have the answers that they wait for, and
// returns when nothing of the node runs any more, or with its cause when ctx is done.
func (n *Node) Close(ctx context.Context) error {
	n.flush(ctx)
	err := n.mesh.Close(ctx)
	n.end()
	return err
}

// end ends what goes on by itself. Later calls do nothing.
func (n *Node) end() {
	n.closing.Do(func() { close(n.ended) })
	n.watches.end()
	for _, p := range n.all() {
		p.end()
	}
	n.interest.stop()
	n.serving.Wait()
}

// begun waits until the links are there; false: they never will be.
func (n *Node) begun() bool {
	select {
	case <-n.started:
		return true
	case <-n.ended:
		return false
	}
}

// peer is another node.
type peer struct {
	node  *Node
	name  string
	epoch string

	interest  *interest.Set
	suspected atomic.Bool
	left      atomic.Bool   // it has said goodbye; noted before end
	pulled    atomic.Bool   // all that it knew of blocks when it was asked last
	answers   chan posted   // to be sent to it
	back      chan struct{} // holds one: it answers again
	returned  chan struct{} // the same, for who pulls blocks; or it is to be asked for another reason
	bothWays  atomic.Bool   // the next pull of blocks is to have the peer pull too
	slots     chan struct{} // one for each question of the peer that is being answered
	awaited   chan struct{} // one for each answer that Close waits for: of moves and drains
	gone      chan struct{} // closed by end
	once      sync.Once

	mu     sync.Mutex
	served map[uint64]*served // requests of the peer's that are under way, by number
	leases map[uint64]*lease  // what it has begun under keys, by the number of the request

	followers []*time.Timer // each holds a place of awaited for the next question of the peer about the drain
}

// What one peer may have going on here.
const (
	maxAnswers   = 4096 // that wait to be sent
	maxQuestions = 64
	maxAwaited   = 1024
	maxServed    = 10_000 // emits whose answers are awaited; and keys that it has begun something under
)

func (n *Node) newPeer(info *link.Peer) *peer {
	return &peer{
		node: n, name: info.Name, epoch: info.Epoch, interest: interest.NewSet(),
		answers: make(chan posted, maxAnswers), back: make(chan struct{}, 1), returned: make(chan struct{}, 1),
		slots: make(chan struct{}, maxQuestions), awaited: make(chan struct{}, maxAwaited), gone: make(chan struct{}),
		served: map[uint64]*served{}, leases: map[uint64]*lease{},
	}
}

// end ends what is going on for the peer. Later calls do nothing.
func (p *peer) end() {
	p.once.Do(func() { close(p.gone) })
	p.endLeases()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.served {
		s.cancel()
	}
}

// isGone reports whether end has been called.
func (p *peer) isGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// all returns the peers, by epoch, in a list that nobody changes.
func (n *Node) all() []*peer { return *n.peers.Load() }

// peer returns the peer with this epoch, or nil.
func (n *Node) peer(epoch string) *peer {
	all := n.all()
	if i, ok := slices.BinarySearchFunc(all, epoch, byEpoch); ok {
		return all[i]
	}
	return nil
}

func byEpoch(p *peer, epoch string) int { return strings.Compare(p.epoch, epoch) }

// epochOf returns the epoch that an id begins with; empty: it is no id of any node.
func epochOf(id string) string {
	if len(id) < EpochLength {
		return ""
	}
	return id[:EpochLength]
}

// handler is what the links call: each peer's calls come one at a time.
type handler Node

var _ link.Handler = (*handler)(nil)

// Joined implements link.Handler.
func (h *handler) Joined(info link.Peer) {
	n := (*Node)(h)
	p := n.newPeer(&info)
	n.mu.Lock()
	all := slices.Clone(n.all())
	i, _ := slices.BinarySearchFunc(all, p.epoch, byEpoch)
	all = slices.Insert(all, i, p)
	n.peers.Store(&all)
	n.joined = time.Now()
	n.mu.Unlock()
	n.serving.Go(p.sendAnswers)
	if n.opts.Blocks != nil {
		n.serving.Go(p.pullBlocks)
	}
	p.sendSettings()
	n.interest.add(p)
	n.watches.joined(p)
	if n.consumers != nil {
		n.consumers.Joined(p.epoch, p.name)
	}
	n.log.Info("a node has joined", "node", p.name, "epoch", p.epoch, "version", info.Version)
}

// Gone implements link.Handler.
func (h *handler) Gone(info link.Peer) {
	n := (*Node)(h)
	n.mu.Lock()
	all := slices.Clone(n.all())
	i, found := slices.BinarySearchFunc(all, info.Epoch, byEpoch)
	if !found {
		n.mu.Unlock()
		return
	}
	p := all[i]
	all = slices.Delete(all, i, i+1)
	n.peers.Store(&all)
	n.mu.Unlock()
	p.left.Store(info.Left)
	n.interest.remove(p)
	n.requests.fail(p)
	p.end()
	if n.consumers != nil {
		n.consumers.Gone(p.epoch)
	}
	n.log.Info("a node is gone", "node", p.name, "epoch", p.epoch)
}

// Changed implements link.Handler.
func (h *handler) Changed(info link.Peer) {
	n := (*Node)(h)
	p := n.peer(info.Epoch)
	if p == nil {
		return
	}
	suspected := info.State == link.Suspected
	if p.suspected.Swap(suspected) == suspected {
		return
	}
	if n.consumers != nil {
		n.consumers.Changed(p.epoch, suspected)
	}
	if suspected {
		n.requests.fail(p)
		n.log.Warn("a node does not answer", "node", p.name, "epoch", p.epoch)
	} else {
		n.interest.request()
		select {
		case p.back <- struct{}{}:
		default:
		}
		p.pullBothWays()
		n.log.Info("a node answers again", "node", p.name, "epoch", p.epoch)
	}
}
