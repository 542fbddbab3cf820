package cluster

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/cluster/interest"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// clearTime is how long bits that are not set any more may wait for others: an emit too
// many for a room that is empty costs less than a message for each.
const clearTime = time.Second

// ownInterest is what this node has members of, and how far the peers know.
//
// What has changed goes to them in rounds, by one goroutine, so that changes travel in
// the order in which they happened and many share a message.
type ownInterest struct {
	epoch string
	local *interest.Local

	added atomic.Uint64 // counts what may have set a bit
	wake  chan struct{} // holds one: there is to be a round
	ended chan struct{}
	begin sync.Once
	end   sync.Once
	idle  sync.WaitGroup

	mu        sync.Mutex
	peers     map[*peer]*knowledge
	told      uint64        // of added, as the latest round that has ended began
	roundDone chan struct{} // closed when a round ends, and replaced
}

// knowledge is what a peer was sent.
type knowledge struct {
	all      bool          // it has all, and needs changes only
	position link.Position // of the latest that it was sent; valid if all
}

func newOwnInterest(epoch string) *ownInterest {
	return &ownInterest{
		epoch: epoch, local: interest.NewLocal(), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		peers: map[*peer]*knowledge{}, roundDone: make(chan struct{}),
	}
}

// interestKinds are the room package's kinds in the interest package's words.
var interestKinds = map[room.Kind]interest.Kind{
	room.KindAll: interest.Namespace, room.KindRoom: interest.Room, room.KindUser: interest.User, room.KindID: interest.Room,
}

// Changed implements sio.Interest.
func (o *ownInterest) Changed(kind room.Kind, namespace, name string, there bool) {
	if (kind == room.KindRoom || kind == room.KindID) && len(name) == idLength && strings.HasPrefix(name, o.epoch) {
		return // the connection is found by its id, and so is the room of that name
	}
	if there {
		o.local.Add(interestKinds[kind], namespace, name)
		o.added.Add(1)
	} else {
		o.local.Remove(interestKinds[kind], namespace, name)
	}
}

// idLength is the length of the ids that nodes make.
const idLength = 20

// Interest is to be the [sio.Options.Interest] of the server that Start is given.
func (n *Node) Interest() sio.Interest { return n.interest }

// add has a peer told of everything, and of changes from then on.
func (o *ownInterest) add(p *peer) {
	o.mu.Lock()
	o.peers[p] = &knowledge{}
	o.mu.Unlock()
	o.begin.Do(func() {
		o.idle.Go(func() {
			if p.node.begun() {
				o.run()
			}
		})
	})
	o.request()
}

func (o *ownInterest) remove(p *peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.peers, p)
}

// stop ends the rounds. Later calls do nothing.
func (o *ownInterest) stop() {
	o.end.Do(func() { close(o.ended) })
	o.idle.Wait()
}

// request has a round begin after this call.
func (o *ownInterest) request() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run makes the rounds.
func (o *ownInterest) run() {
	tick := time.NewTicker(clearTime)
	defer tick.Stop()
	for {
		select {
		case <-o.wake:
		case <-tick.C:
		case <-o.ended:
			return
		}
		o.round()
	}
}

// round tells the peers what has changed.
func (o *ownInterest) round() {
	added := o.added.Load()
	set, cleared := o.local.TakeChanges()
	var changes, all []byte
	if len(set)+len(cleared) > 0 {
		changes = mustMarshal(&clusterv1.Message{Body: &clusterv1.Message_InterestChange{
			InterestChange: &clusterv1.InterestChange{Set: set, Cleared: cleared},
		}})
	}
	for p, full := range o.recipients() {
		if p.suspected.Load() {
			o.sent(p, link.Position{}, false) // it is told of all when it is back
			continue
		}
		message := changes
		if full {
			if all == nil {
				all = mustMarshal(&clusterv1.Message{Body: &clusterv1.Message_InterestAll{InterestAll: &clusterv1.InterestAll{Set: o.local.Full()}}})
			}
			message = all
		}
		if message == nil {
			continue
		}
		position, err := p.node.mesh.Send(context.Background(), p.epoch, message)
		o.sent(p, position, err == nil)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = added
	close(o.roundDone)
	o.roundDone = make(chan struct{})
}

// recipients returns the peers, and whether each needs all.
func (o *ownInterest) recipients() map[*peer]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	to := make(map[*peer]bool, len(o.peers))
	for p, k := range o.peers {
		to[p] = !k.all
	}
	return to
}

// sent notes up to where a peer has to confirm to know what is true now; not ok: it
// could not be sent.
func (o *ownInterest) sent(p *peer, at link.Position, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if k := o.peers[p]; k != nil {
		k.position, k.all = at, ok
	}
}

// confirm waits until every peer knows of everything that has been added by now, and
// returns the names of those that do not say so in time; not of one that is gone by then.
// One need not say so: it is enough that it was told, for whatever it is sent then comes
// after that.
func (n *Node) confirm(ctx context.Context, but *peer) (unconfirmed []string) {
	if len(n.all()) == 0 || !n.begun() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.opts.ConfirmTimeout)
	defer cancel()
	told := n.interest.toldBy(ctx)
	for _, p := range n.all() {
		k, ok := told[p]
		switch {
		case p == but && (ok && k.all || n.interest.tells(ctx, p)):
		case p != but && ok && k.all && !p.suspected.Load() && n.mesh.Confirmed(ctx, p.epoch, k.position) == nil:
		default:
			if _, there := n.mesh.Peer(p.epoch); there {
				unconfirmed = append(unconfirmed, p.name)
			}
		}
	}
	return unconfirmed
}

// tells waits until a peer was sent all, which one that is suspected is once it is back;
// false: ctx is done first, or it is gone.
func (o *ownInterest) tells(ctx context.Context, p *peer) bool {
	for {
		o.mu.Lock()
		k, done := o.peers[p], o.roundDone
		told := k != nil && k.all
		o.mu.Unlock()
		if told || k == nil {
			return told
		}
		select {
		case <-done:
		case <-ctx.Done():
			return false
		}
	}
}

// toldBy waits until a round has sent what has been added by now, and returns what the
// peers know then; nothing if ctx is done first.
func (o *ownInterest) toldBy(ctx context.Context) map[*peer]knowledge {
	added := o.added.Load()
	for {
		o.mu.Lock()
		done := o.roundDone
		if o.told >= added {
			told := make(map[*peer]knowledge, len(o.peers))
			for p, k := range o.peers {
				told[p] = *k
			}
			o.mu.Unlock()
			return told
		}
		o.mu.Unlock()
		o.request()
		select {
		case <-done:
		case <-ctx.Done():
			return nil
		}
	}
}

// mustMarshal encodes a message that holds no text.
func mustMarshal(m *clusterv1.Message) []byte {
	text, err := marshal(m)
	if err != nil {
		panic(err) // only text that is no UTF-8 fails
	}
	return text
}
