package control

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// memWatch is a watch of a memHub: it tells how what it looks at differs from what it told.
type memWatch struct {
	hub     *memHub
	request sio.WatchRequest
	ready   chan struct{}

	told   map[string]sio.Connection // by id
	names  map[watchedName]bool
	synced bool
}

// memWatches are those that look again when something has changed.
type memWatches struct {
	mu  sync.Mutex
	all []*memWatch
}

func (ws *memWatches) wake() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.all {
		select {
		case w.ready <- struct{}{}:
		default:
		}
	}
}

func (h *memHub) Watch(_ context.Context, r sio.WatchRequest) (sio.Watch, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.namespaces[r.To.Namespace] == nil {
		return nil, sio.ErrUnknownNamespace
	}
	w := &memWatch{hub: h, request: r, ready: make(chan struct{}, 1), told: map[string]sio.Connection{}, names: map[watchedName]bool{}}
	w.ready <- struct{}{}
	h.watches.mu.Lock()
	defer h.watches.mu.Unlock()
	h.watches.all = append(h.watches.all, w)
	return w, nil
}

func (w *memWatch) Ready() <-chan struct{} { return w.ready }
func (w *memWatch) Unreachable() []string  { return nil }
func (w *memWatch) Stop() {
	w.hub.watches.mu.Lock()
	defer w.hub.watches.mu.Unlock()
	w.hub.watches.all = slices.DeleteFunc(w.hub.watches.all, func(other *memWatch) bool { return other == w })
}

func (w *memWatch) Next() (events []sio.WatchEvent) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	tell := func(e sio.WatchEvent) {
		e.Node, e.Namespace = w.hub.node, w.request.To.Namespace
		events = append(events, e)
	}
	found, _ := w.hub.selectLocked(w.request.To)
	now, names := map[string]sio.Connection{}, map[watchedName]bool{}
	for _, e := range found {
		c := w.hub.view(e)
		now[c.ID] = c
		if w.request.Users && c.UserID != "" {
			names[watchedName{true, w.request.To.Namespace, c.UserID}] = true
		}
		for _, name := range c.Rooms {
			if w.request.Rooms && name != c.ID {
				names[watchedName{false, w.request.To.Namespace, name}] = true
			}
		}
	}
	kinds := map[bool][2]sio.WatchKind{false: {sio.WatchRoomCreated, sio.WatchRoomDeleted}, true: {sio.WatchUserOnline, sio.WatchUserOffline}}
	for n := range names {
		if !w.names[n] {
			tell(sio.WatchEvent{Kind: kinds[n.user][0], Name: n.name})
		}
	}
	for id, c := range now {
		switch before, known := w.told[id]; {
		case !w.request.Connections:
		case !known:
			tell(sio.WatchEvent{Kind: sio.WatchAdded, ID: id, Connection: &c})
		case !reflect.DeepEqual(before, c):
			tell(sio.WatchEvent{Kind: sio.WatchUpdated, ID: id, Connection: &c})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.told)) {
		if _, there := now[id]; !there && w.request.Connections {
			tell(sio.WatchEvent{Kind: sio.WatchRemoved, ID: id})
		}
	}
	for n := range w.names {
		if !names[n] {
			tell(sio.WatchEvent{Kind: kinds[n.user][1], Name: n.name})
		}
	}
	if w.told, w.names = now, names; !w.synced {
		w.synced = true
		events = append(events, sio.WatchEvent{Kind: sio.WatchSynced})
	}
	return events
}
