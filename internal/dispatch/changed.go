package dispatch

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// How the owner of a connection is told that somebody else has changed it: its rooms, its
// data, its user, or when its authorisation runs out.

const (
	// changedDelay is how long a change waits for others, so that many cost little more than
	// one.
	changedDelay = time.Millisecond
	// changedPiece is how many connections are looked at before the group is left to others.
	changedPiece = 256
)

// changes are the connections that have changed since owners were told last. Its methods are
// safe for concurrent use.
type changes struct {
	wanted atomic.Int32 // subscriptions with Assignments

	mu      sync.Mutex // a leaf
	pending map[string]changers
	timer   *time.Timer // nil: nothing ever changed
}

// changers are those who have changed one connection.
type changers struct {
	one     sio.Actor
	several bool
}

// othersThan reports whether one of them is somebody else.
func (c changers) othersThan(a sio.Actor) bool { return c.several || c.one != a }

var _ sio.ChangeListener = (*Dispatcher)(nil)

// Listens implements [sio.ChangeListener].
func (d *Dispatcher) Listens() bool { return d.changes.wanted.Load() > 0 }

// Changed implements [sio.ChangeListener].
func (d *Dispatcher) Changed(c *sio.Change) {
	switch c.Kind {
	case sio.ConnectionJoined, sio.ConnectionLeft, sio.ConnectionUpdated:
		d.noteChanged(c.Socket.ID(), c.By)
	case sio.ConnectionAdded, sio.ConnectionRemoved: // which the Backend hears of
	}
}

func (d *Dispatcher) noteChanged(connection string, by sio.Actor) {
	c := &d.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		c.pending = map[string]changers{}
		if c.timer == nil {
			c.timer = time.AfterFunc(changedDelay, d.tellChanged)
		} else {
			c.timer.Reset(changedDelay)
		}
	}
	all, some := c.pending[connection]
	if !some {
		all.one = by
	}
	all.several = all.several || all.one != by
	c.pending[connection] = all
}

// tellChanged is the timer: it has owners look at what has changed.
func (d *Dispatcher) tellChanged() {
	d.changes.mu.Lock()
	pending := d.changes.pending
	d.changes.pending = nil
	d.changes.mu.Unlock()
	ids := make([]string, 0, len(pending))
	for id := range pending {
		ids = append(ids, id)
	}
	for _, g := range d.all() {
		for piece := range slices.Chunk(ids, changedPiece) {
			g.changed(piece, pending)
		}
	}
}

func (g *group) changed(ids []string, by map[string]changers) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		if q := g.queues[id]; q != nil && q.owner != nil && (q.shared || by[id].othersThan(q.owner.actor)) {
			q.changedLocked()
		}
	}
}

// changedLocked has the owner told how the connection is now, if it has been told that it owns
// it. From then on it is told of its own changes too: what it is told may be older than one
// that it has asked for meanwhile.
func (q *queue) changedLocked() {
	if !q.assigned || q.client == nil {
		return
	}
	q.shared = true
	if q.changing == nil {
		q.changing = q.owner.changing.PushBack(q)
		q.owner.wake()
	}
}

// maxKnew bounds the consumers that a queue remembers. Where it was more, any may have been
// one of them.
const maxKnew = 16

// passKnownLocked notes that the queue passes from its owner to another; nil: nobody. A
// consumer that owned the connection before may have asked for changes which are made only
// when it has been assigned anew.
func (q *queue) passKnownLocked(to *Subscription) {
	q.leaveChangingLocked()
	if q.assigned && len(q.knew) < maxKnew && !slices.Contains(q.knew, q.owner.options.ConsumerID) {
		q.knew = append(q.knew, q.owner.options.ConsumerID)
	}
	q.shared = to != nil && (len(q.knew) == maxKnew || slices.Contains(q.knew, to.options.ConsumerID))
}

// leaveChangingLocked takes the queue out of those whose change its owner is to be told of.
func (q *queue) leaveChangingLocked() {
	if q.changing != nil {
		q.owner.changing.Remove(q.changing)
		q.changing = nil
	}
}

// takeChangedLocked takes up to n of those whose change the subscription is to be told of.
func (s *Subscription) takeChangedLocked(n int) (views []*view) {
	for s.changing.Len() > 0 && len(views) < n {
		q := s.changing.Front().Value.(*queue)
		q.leaveChangingLocked()
		if q.client != nil { // else its end tells how it was
			views = append(views, q.view)
		}
	}
	return views
}
