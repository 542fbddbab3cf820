package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// watchAgain is when a peer is asked again that does not tell what is watched.
const watchAgain = time.Second

// watchPart is what one node tells a watch. One goroutine follows it.
type watchPart struct {
	watch  *watch
	name   string
	peer   *peer           // nil: this node
	ctx    context.Context // until another takes its place, or the watch ends
	cancel context.CancelFunc
	done   chan struct{} // closed when it is followed no more

	// The goroutine's.
	told   bool // the reader knows something of this node
	resync bool // and is told that anew
	away   bool // what it knows is not up to date, and it knows that

	// Guarded by watch.mu.
	starting bool // counted in watch.starting
}

func (w *watch) newPart(name string) *watchPart {
	p := &watchPart{watch: w, name: name, done: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(w.ctx)
	return p
}

// tell hands events to the reader, after those before, and waits until it has room for
// them; false: the part has ended. away is whether they leave it behind.
func (p *watchPart) tell(away bool, events ...sio.WatchEvent) bool {
	if len(events) == 0 && away == p.away {
		return true
	}
	select {
	case p.watch.told <- watchNews{p.name, events, away}:
		p.away = away
		p.watch.wake()
		return true
	case <-p.ctx.Done():
		return false
	}
}

// followHere tells what a watch of this node does.
func (p *watchPart) followHere(local sio.Watch) {
	defer close(p.done)
	defer p.cancel()
	defer local.Stop()
	for {
		select {
		case <-local.Ready():
			if !p.take(local.Next()) {
				return
			}
		case <-p.ctx.Done():
			return
		}
	}
}

// take tells what the node has told. A node that was away is so until all has been told.
func (p *watchPart) take(events []sio.WatchEvent) bool {
	synced, all := false, events[:0:0]
	for _, e := range events {
		e.Node = p.name
		switch e.Kind {
		case sio.WatchSynced:
			synced = true
			if !p.resync {
				continue // it is told when all have
			}
			p.resync = false
		case sio.WatchResync:
			p.resync, p.told = true, false
		default:
			p.told = true
		}
		all = append(all, e)
	}
	if !p.tell(p.away && !synced, all...) {
		p.told = true // as it was, maybe: who takes its place tells all anew
		return false
	}
	if synced {
		p.started()
	}
	return true
}

// started notes that the node has told what there was, or cannot be asked for it. The last
// one says so.
func (p *watchPart) started() {
	w := p.watch
	w.mu.Lock()
	last := false
	if p.starting {
		p.starting = false
		w.starting--
		last = w.starting == 0
	}
	w.mu.Unlock()
	if last {
		p.tell(p.away, sio.WatchEvent{Kind: sio.WatchSynced})
	}
}

// none tells that the node has nothing that is watched.
func (p *watchPart) none() bool {
	if !p.told && !p.resync && !p.away {
		return true
	}
	return p.take([]sio.WatchEvent{{Kind: sio.WatchResync}, {Kind: sio.WatchSynced}})
}

// followPeer tells what the peer says, and again after each interruption, until it is gone.
func (p *watchPart) followPeer() {
	defer close(p.done)
	defer p.cancel()
	defer p.started() // if it never was
	for p.ctx.Err() == nil {
		err := p.read()
		switch {
		case p.peer.isGone():
			if p.none() {
				p.watch.forget(p)
			}
			return
		case errors.Is(err, sio.ErrUnknownNamespace): // it serves others than this node
			p.none()
		default:
			p.tell(true)
		}
		p.started()
		again := time.NewTimer(watchAgain)
		select {
		case <-p.peer.gone:
		case <-again.C:
		case <-p.ctx.Done():
		}
		again.Stop()
	}
}

// read begins a watch at the peer and tells what it says, until that is interrupted.
func (p *watchPart) read() error {
	n, r := p.watch.node, &p.watch.request
	if p.peer.isGone() || p.peer.suspected.Load() {
		return errUnreachable
	}
	asked, err := n.ask(p.ctx, []*peer{p.peer}, &clusterv1.Message{Body: &clusterv1.Message_Watch{Watch: &clusterv1.WatchConnections{
		To: fromTarget(&r.To), Connections: r.Connections, Rooms: r.Rooms, Users: r.Users, Handshake: r.Handshake,
	}}})
	if err != nil {
		return err
	}
	q := asked[0]
	defer p.peer.post(mustMarshal(cancelOf(q))) // it would go on for a while
	defer q.close()
	for first := true; ; first = false {
		events, err := p.answer(q)
		if err != nil {
			return err
		}
		if first && (p.told || p.away || !p.isStarting()) {
			events = slices.Insert(events, 0, sio.WatchEvent{Kind: sio.WatchResync})
		}
		p.take(events)
		p.peer.post(mustMarshal(continueOf(q)))
	}
}

// answer returns what the peer tells next.
func (p *watchPart) answer(q *request) ([]sio.WatchEvent, error) {
	ctx, cancel := context.WithTimeout(p.ctx, watchSilence)
	defer cancel()
	a, err := q.next(ctx)
	if err == nil {
		err = toError(a.GetCode())
	}
	if err != nil {
		return nil, err
	}
	return toWatchEvents(a.GetWatch())
}

// isStarting reports whether what is told now is of what there was when the watch began.
func (p *watchPart) isStarting() bool {
	p.watch.mu.Lock()
	defer p.watch.mu.Unlock()
	return p.starting
}
