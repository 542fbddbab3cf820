package sio

import (
	"context"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// WatchRequest says what is watched.
type WatchRequest struct {
	// To are the connections. They are watched for as long as they are in the target. Its
	// namespace may be a pattern.
	To Target
	// Connections, Rooms and Users say what of them is told: each connection, and which
	// rooms and users there are among them.
	Connections, Rooms, Users bool
	// Handshake says that connections are shown with theirs.
	Handshake bool
}

// WatchKind says what a [WatchEvent] tells.
type WatchKind int

// The kinds.
const (
	WatchAdded       WatchKind = iota // a connection is in the target: Connection
	WatchRemoved                      // one is not any more: ID, and Reason if it has ended
	WatchUpdated                      // its data, its user or its expiry is another: Connection
	WatchJoined                       // it has joined Rooms: ID
	WatchLeft                         // it has left Rooms: ID
	WatchRoomCreated                  // a first connection of the target is in the room Name
	WatchRoomDeleted                  // the last one has left it
	WatchUserOnline                   // there is a first connection of the user Name in the target
	WatchUserOffline                  // the last one is gone
	WatchSynced                       // all there was has been told; at first it has no Node
	WatchResync                       // forget all: it is told anew
)

// WatchEvent is one thing that a [Watch] tells.
type WatchEvent struct {
	Kind      WatchKind
	Node      string // that it is about
	Namespace string
	ID        string // of a connection
	// Connection has the user, the rooms, the data and the expiry of the moment of the
	// change, and all else of the moment when Next returned it.
	Connection *Connection
	Rooms      []string // read only
	Name       string   // of a room or a user
	Reason     string   // of an end; empty: the connection lives, and has left the target

	socket *Socket // that Connection, which watches share, is to be completed by; nil: it is
	size   int
}

// Watch tells what becomes of the connections of a target: first those that there are, then
// Synced, and from then on, or for those that have been told before, what changes; each once
// and in its order. To whoever does not read as fast as things happen it says Resync at some
// time, and begins anew.
//
// Stop may be called at any time; Next is for one goroutine.
type Watch interface {
	// Ready receives when Next may have something.
	Ready() <-chan struct{}
	// Next returns what there is now, maybe nothing. It does not wait.
	Next() []WatchEvent
	// Unreachable are the names of the nodes whose connections are not known at present.
	Unreachable() []string
	// Stop ends the watch.
	Stop()
}

// Bounds of watches.
const (
	// MaxWatches are how many there may be at once at one server. Each costs something with
	// each change in the namespaces that it watches.
	MaxWatches = 1000
	// maxWatchQueue is what may wait for one reader, in bytes, about. Beyond that it is
	// told anew what there is.
	maxWatchQueue = 16 << 20
	// maxWatchQueues is what may wait for the readers of all watches of a server, in bytes,
	// about. Beyond that who has more than watchShare is told anew.
	maxWatchQueues = 256 << 20
	// watchShare may wait for one reader in any case, in bytes: a piece of what there is at
	// the beginning, about, or a connection with all the data that it may have.
	watchShare = 256 << 10
	// maxWatchBatch is how many events Next returns.
	maxWatchBatch = 256
	// watchEventSize is what an event costs beyond its connection, in bytes, about.
	watchEventSize = 256
	// watchNameSize is what each room costs beyond its name, in bytes.
	watchNameSize = 16
	// watchPause is how long a watch lasts at least until it is begun anew.
	watchPause = time.Second
)

// serverWatch is a Watch of one server.
type serverWatch struct {
	server  *Server
	request WatchRequest
	matcher *room.Matcher
	pattern *Pattern // of namespaces; nil: it is one
	ready   chan struct{}
	piece   int // how many connections are looked at under one lock at most

	// The reader's.
	rest  []*watched // those that have not told all yet
	began time.Time  // the latest round

	mu      sync.Mutex
	round   uint64 // counts how often it has begun: parts of earlier rounds tell nothing
	queue   []WatchEvent
	bytes   int
	lagging bool // more has happened than the queue holds, which is empty
	stopped bool
	again   *time.Timer // wakes the reader when it may begin anew; nil: that was never awaited
}

// Watch begins a watch. Errors: [ErrUnknownNamespace], [ErrBusy] if there are too many.
func (s *Server) Watch(ctx context.Context, r WatchRequest) (Watch, error) {
	w := s.newWatch(r)
	if Spans(r.To.Namespace) {
		if ok, _ := s.HasNamespace(ctx, r.To.Namespace); !ok {
			return nil, ErrUnknownNamespace
		}
		p := NewPattern(r.To.Namespace)
		w.pattern = &p
	}
	if ok, _ := s.HasNamespace(ctx, r.To.Namespace); !ok { // it has no errors
		return nil, ErrUnknownNamespace
	}
	if !s.namespaces.watch(w) {
		return nil, ErrBusy
	}
	w.begin()
	return w, nil
}

func (s *Server) newWatch(r WatchRequest) *serverWatch {
	return &serverWatch{server: s, request: r, matcher: room.NewMatcher(r.To.Selector), ready: make(chan struct{}, 1), piece: viewPiece}
}

func (w *serverWatch) Ready() <-chan struct{} { return w.ready }

func (w *serverWatch) Unreachable() []string { return nil }

// matches reports whether a namespace is watched.
func (w *serverWatch) matches(namespace string) bool {
	if w.pattern != nil {
		return w.pattern.Matches(namespace)
	}
	return namespace == w.request.To.Namespace
}

// Stop implements Watch.
func (w *serverWatch) Stop() {
	w.mu.Lock()
	stopped := w.stopped
	w.stopped = true
	w.emptyLocked()
	if w.again != nil {
		w.again.Stop()
	}
	w.mu.Unlock()
	if stopped {
		return
	}
	for _, n := range w.server.namespaces.unwatch(w) {
		n.unwatch(w)
	}
}

// begin begins a round.
func (w *serverWatch) begin() {
	w.mu.Lock()
	w.round++
	round := w.round
	w.lagging = false
	w.emptyLocked() // what came of a new namespace before the first round is told in it
	w.mu.Unlock()
	w.began, w.rest = time.Now(), nil
	for _, n := range w.server.namespaces.all() {
		if w.matches(n.name) {
			if p := n.watch(w, round); p != nil {
				w.rest = append(w.rest, p)
			}
		}
	}
	if len(w.rest) == 0 {
		w.synced(round)
	}
	w.wake()
}

// Next implements Watch.
func (w *serverWatch) Next() []WatchEvent {
	events := w.take()
	if len(events) == 0 && len(w.rest) > 0 {
		if p := w.rest[0]; p.goOn() {
			w.rest = w.rest[1:]
			if len(w.rest) == 0 {
				w.synced(p.round)
			}
		}
		events = w.take()
	}
	if len(w.rest) > 0 {
		w.wake()
	}
	for i := range events {
		if e := &events[i]; e.socket != nil {
			c := *e.Connection
			e.socket.completeView(&c)
			if w.request.Handshake {
				c.Handshake = e.socket.Handshake()
			}
			e.Connection, e.socket = &c, nil
		}
	}
	return events
}

func (w *serverWatch) synced(round uint64) { w.push(round, &WatchEvent{Kind: WatchSynced}) }

// take takes what waits, or begins anew.
func (w *serverWatch) take() []WatchEvent {
	w.mu.Lock()
	if w.lagging {
		w.mu.Unlock()
		return w.resync()
	}
	defer w.mu.Unlock()
	n := min(len(w.queue), maxWatchBatch)
	events := w.queue[:n:n]
	taken := 0
	for i := range events {
		taken += events[i].size
	}
	w.countLocked(-taken)
	if w.queue = w.queue[n:]; len(w.queue) > 0 {
		w.wake()
	} else {
		w.queue = nil
	}
	return events
}

// resync begins anew, unless it has done so just before.
func (w *serverWatch) resync() []WatchEvent {
	if wait := watchPause - time.Since(w.began); wait > 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case w.stopped:
		case w.again == nil:
			w.again = time.AfterFunc(wait, w.wake)
		default:
			w.again.Reset(wait)
		}
		return nil
	}
	w.server.counters.watchResyncs.Add(1)
	w.begin()
	return []WatchEvent{{Kind: WatchResync, Node: w.server.opts.Node}}
}

// over reports whether the watch has ended.
func (w *serverWatch) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// half reports whether the queue is half full, or was too small.
func (w *serverWatch) half() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lagging || !w.fitsLocked(w.bytes)
}

// fitsLocked reports whether the queue has room for so many bytes more.
func (w *serverWatch) fitsLocked(bytes int) bool {
	after := w.bytes + bytes
	return after <= watchShare || after <= maxWatchQueue && w.server.namespaces.watchBytes.Load()+int64(bytes) <= maxWatchQueues
}

// countLocked counts bytes that wait more than before.
func (w *serverWatch) countLocked(bytes int) {
	w.bytes += bytes
	w.server.namespaces.watchBytes.Add(int64(bytes))
}

// emptyLocked drops what waits.
func (w *serverWatch) emptyLocked() {
	w.queue = nil
	w.countLocked(-w.bytes)
}

// wake tells the reader that there may be something.
func (w *serverWatch) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// push adds an event of a round to what waits for the reader.
func (w *serverWatch) push(round uint64, e *WatchEvent) {
	if e.Kind != WatchSynced || round > 1 {
		e.Node = w.server.opts.Node
	}
	e.size += watchEventSize + len(e.Name) + len(e.ID)
	for _, name := range e.Rooms {
		e.size += watchNameSize + len(name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lagging || w.stopped || round != w.round {
		return
	}
	if !w.fitsLocked(e.size) {
		w.lagging = true
		w.emptyLocked()
	} else {
		w.countLocked(e.size)
		w.queue = append(w.queue, *e)
	}
	w.wake()
}
