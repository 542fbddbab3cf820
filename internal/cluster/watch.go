package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Watch watches connections of all nodes. Each node's part is told in its order, and waits
// where it is while the reader is slow: what is too much for it there is told anew, as its
// Resync. What was told of a peer that does not answer stands until that answers again, and
// has told all anew, or is gone, when it is forgotten. A peer that answers or joins later
// than Synced is told of as after a Resync, too. See [sio.Server.Watch].
func (n *Node) Watch(ctx context.Context, request sio.WatchRequest) (sio.Watch, error) {
	local, err := n.hub.Watch(ctx, request)
	if err != nil {
		return nil, err
	}
	w := &watch{
		node: n, request: request, ready: make(chan struct{}, 1), told: make(chan watchNews, 1), parts: map[string]*watchPart{}, away: map[string]bool{},
		starting: 1, // this node
	}
	w.ctx, w.cancel = context.WithCancel(context.Background()) // it goes on after ctx
	n.watches.add(w)
	for _, p := range n.all() {
		w.follow(p)
	}
	here := w.newPart(n.Self().Name)
	here.starting = true
	w.mu.Lock()
	w.parts[here.name] = here
	w.mu.Unlock()
	w.running.Go(func() { here.followHere(local) })
	return w, nil
}

// watches are those of this node's callers.
type watches struct {
	mu    sync.Mutex
	all   []*watch
	ended bool
}

func (ws *watches) add(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.ended {
		w.cancel()
	}
	ws.all = append(ws.all, w)
}

func (ws *watches) remove(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.all = slices.DeleteFunc(ws.all, func(other *watch) bool { return other == w })
}

func (ws *watches) list() []*watch {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.Clone(ws.all)
}

// joined has a new peer be watched.
func (ws *watches) joined(p *peer) {
	for _, w := range ws.list() {
		w.follow(p)
	}
}

// end ends what the watches have others do for them.
func (ws *watches) end() {
	ws.mu.Lock()
	ws.ended = true
	ws.mu.Unlock()
	for _, w := range ws.list() {
		w.cancel()
	}
}

// watch is a sio.Watch over several nodes.
type watch struct {
	node    *Node
	request sio.WatchRequest
	ctx     context.Context // until Stop
	cancel  context.CancelFunc
	ready   chan struct{}
	told    chan watchNews // one piece; who has more waits
	running sync.WaitGroup // the parts

	mu       sync.Mutex
	parts    map[string]*watchPart // by the names of their nodes
	away     map[string]bool       // the nodes that the reader knows not to be up to date, by name
	starting int                   // parts that have not told what there was; at 0 it is said that all have, or could not be asked
	stopped  bool
}

var _ sio.Watch = (*watch)(nil)

// watchNews is what a part tells at once.
type watchNews struct {
	node   string
	events []sio.WatchEvent
	away   bool // what the reader knows of the node after that is not up to date
}

// Ready implements sio.Watch.
func (w *watch) Ready() <-chan struct{} { return w.ready }

// Next implements sio.Watch.
func (w *watch) Next() []sio.WatchEvent {
	select {
	case m := <-w.told:
		w.mu.Lock()
		if delete(w.away, m.node); m.away {
			w.away[m.node] = true
		}
		w.mu.Unlock()
		w.wake() // there may be more at once
		return m.events
	default:
		return nil
	}
}

// Unreachable implements sio.Watch. It changes with what Next returns.
func (w *watch) Unreachable() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.away))
}

// Stop implements sio.Watch. It waits until nothing of the watch runs any more.
func (w *watch) Stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.cancel()
	w.node.watches.remove(w)
	w.running.Wait()
}

func (w *watch) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// follow has a peer be followed, unless it is, in place of the one that had its name before.
func (w *watch) follow(peer *peer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.parts[peer.name]
	if w.stopped || before != nil && before.peer == peer {
		return
	}
	p := w.newPart(peer.name)
	p.peer = peer
	if w.parts[p.name] = p; w.starting > 0 {
		p.starting = true
		w.starting++
	}
	w.running.Go(func() {
		if before != nil {
			before.cancel()
			<-before.done
			p.told, p.resync, p.away = before.told, before.resync, before.away
		}
		p.followPeer()
	})
}

// forget notes that a part has ended, whose peer is gone. That peer may have come back, or
// another in its place, before that was known.
func (w *watch) forget(p *watchPart) {
	w.mu.Lock()
	if w.parts[p.name] == p {
		delete(w.parts, p.name)
	}
	w.mu.Unlock()
	for _, peer := range w.node.all() {
		if peer.name == p.name && peer != p.peer {
			w.follow(peer)
		}
	}
}
