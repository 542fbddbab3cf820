package dispatch

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/publish"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// ReasonStalled closes a session whose events no consumer took in time.
const ReasonStalled = "backend stalled"

// ReasonNodeLost ends a connection whose node is gone, as far as its consumer's node
// knows. Only who relays deliveries between nodes says so.
const ReasonNodeLost = "node lost"

// Dispatcher is the sio.Backend that hands everything to consumers, and as an
// admission.Source asks them for their verdicts. Create it with [New]; it is safe
// for concurrent use.
type Dispatcher struct {
	opts  Options
	log   *slog.Logger
	began time.Time

	mu      sync.RWMutex
	groups  map[string]*group
	clients map[string]*client // by connection id
	tails   map[*Tail]bool

	roster  roster
	changes changes

	emptied chan struct{} // holds one: a load has become empty; for Drain

	deadLetters *deadLetters

	topics *publish.Topics // of this node's consumers

	events               atomic.Uint64 // from browsers, of every kind
	unheard              atomic.Uint64 // that no group asked for
	dropped              atomic.Uint64 // by policy, with an expired group, or held until the session ended
	redelivered          atomic.Uint64 // taken back from subscriptions that ended or did not settle in time
	ackWaits             atomic.Uint64 // queues that moved because their subscription did not settle in time
	stalledSubscriptions atomic.Uint64 // ended because they did not read
	stalledSessions      atomic.Uint64 // closed with ReasonStalled

	lost     atomic.Uint64 // of the dropped: for want of room in a group that did not serve their connection
	replayed atomic.Uint64 // dead letters, each as often as it was

	verdictTimeouts atomic.Uint64 // connections refused because no verdict came in time
}

var _ sio.Backend = (*Dispatcher)(nil)

// New returns a Dispatcher.
func New(o Options) *Dispatcher {
	o = o.withDefaults()
	d := &Dispatcher{
		opts: o, log: o.Logger, began: time.Now(), groups: map[string]*group{}, clients: map[string]*client{}, tails: map[*Tail]bool{},
		emptied: make(chan struct{}, 1), deadLetters: newDeadLetters(o.DeadLetterBytes, o.Epoch), topics: publish.NewTopics(),
	}
	if o.Tracer != nil {
		d.topics.Trace(d.traceHanded)
	}
	return d
}

// policy returns what holds in a namespace.
func (d *Dispatcher) policy(namespace string) Policy {
	if len(d.opts.Policies) == 0 {
		return d.opts.Policy
	}
	if p, ok := d.opts.Policies[namespace]; ok {
		return p
	}
	if p, ok := d.opts.Policies[sio.FindPattern(d.opts.Namespaces, namespace)]; ok {
		return p
	}
	return d.opts.Policy
}

// Connected implements sio.Backend.
func (d *Dispatcher) Connected(s *sio.Socket) {
	c := d.client(s.ID())
	if c == nil {
		return
	}
	if d.joinedUnheard(c) {
		return
	}
	e := c.event(Connected)
	c.connected, c.since = e.Sequence, e.ReceivedAt.UnixNano()
	d.distribute(c, e)
}

// joinedUnheard puts a new connection in the roster if there is nobody to publish its
// Connected to.
func (d *Dispatcher) joinedUnheard(c *client) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.heardLocked() {
		return false
	}
	c.connected, c.since = c.socket.Number(), time.Now().UnixNano()
	d.roster.add(c)
	return true
}

// Event implements sio.Backend. It holds the browser up while there is no room
// for the event among those that wait for its consumers.
func (d *Dispatcher) Event(s *sio.Socket, in sio.Event) {
	c := d.client(s.ID())
	if c == nil || !d.heard() {
		return
	}
	e := c.event(Message)
	e.Name, e.Args, e.Attachments, e.ReplyExpected = in.Name, in.Args, in.Attachments, in.WantsAck
	e.measure()
	if in.WantsAck {
		c.await(e.Sequence, in.AckID)
	}
	d.traced(e, func() {
		if n := d.distribute(c, e); n == 0 && in.WantsAck {
			c.answered(e.Sequence)
		}
	})
}

// Disconnected implements sio.Backend.
func (d *Dispatcher) Disconnected(s *sio.Socket, end sio.End) {
	c := d.client(s.ID())
	if c == nil {
		return
	}
	d.roster.remove(c) // before it is known who was told of it
	if d.heard() {
		e := c.event(Disconnected)
		e.Reason, e.Detail, e.Recoverable = end.Reason, end.Detail, s.Recoverable()
		c.view.freeze(e.Connection)
		e.measure()
		d.distribute(c, e)
	}
	d.mu.Lock()
	delete(d.clients, s.ID())
	d.mu.Unlock()
	for _, g := range d.all() {
		g.end(s.ID())
	}
}

// RecoveryExpired implements sio.Backend.
func (d *Dispatcher) RecoveryExpired(c sio.LostConnection) {
	if !d.heard() {
		return
	}
	e := &Event{
		Kind: RecoveryExpired, Namespace: c.Namespace, ConnectionID: c.ID, Epoch: d.epochFor(c.ID), UserID: c.User,
		Sequence: c.Number, Reason: string(c.Why), ReceivedAt: time.Now(),
	}
	e.measure()
	d.distribute(nil, e)
	for _, g := range d.all() {
		g.end(c.ID)
	}
}

// discard removes a connection that was not admitted, and what it queued. One that
// wanted to come back may have more than that in its queues.
func (d *Dispatcher) discard(c *client) {
	d.mu.Lock()
	delete(d.clients, c.socket.ID())
	d.mu.Unlock()
	for _, g := range d.all() {
		if c.socket.Recovered() {
			g.end(c.socket.ID())
		} else {
			g.discard(c.socket.ID())
		}
	}
}

// heard reports whether there is anybody to publish to, and counts the event if
// not: a daemon that only emits should not pay for what nobody hears.
func (d *Dispatcher) heard() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.heardLocked()
}

func (d *Dispatcher) heardLocked() bool {
	if len(d.groups)+len(d.tails) > 0 {
		return true
	}
	d.events.Add(1)
	d.unheard.Add(1)
	return false
}

func (d *Dispatcher) client(connection string) *client {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.clients[connection]
}

// all returns the groups, by name.
func (d *Dispatcher) all() []*group {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]*group, 0, len(d.groups))
	for _, g := range d.groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *group) int { return strings.Compare(a.name, b.name) })
	return all
}
