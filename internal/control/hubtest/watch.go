package hubtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// watcher is a watch and what its reader knows.
type watcher struct {
	sio.Watch
	connections map[string]sio.Connection // by id
	names       map[string]int            // of rooms and users: the nodes that have them
	synced      int
}

// until reads until the reader knows what is wanted.
func (w *watcher) until(t *testing.T, what string, want func() bool) {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for !want() {
		select {
		case <-w.Ready():
			for _, e := range w.Next() {
				w.take(&e)
			}
		case <-late.C:
			t.Fatalf("%s: the reader knows %v and %v, synced %d", what, w.connections, w.names, w.synced)
		}
	}
}

func (w *watcher) take(e *sio.WatchEvent) {
	switch e.Kind {
	case sio.WatchAdded, sio.WatchUpdated:
		w.connections[e.ID] = *e.Connection
	case sio.WatchRemoved:
		delete(w.connections, e.ID)
	case sio.WatchJoined:
		c := w.connections[e.ID]
		c.Rooms = append(slices.Clone(c.Rooms), e.Rooms...)
		w.connections[e.ID] = c
	case sio.WatchLeft:
		c := w.connections[e.ID]
		c.Rooms = slices.DeleteFunc(slices.Clone(c.Rooms), func(name string) bool { return slices.Contains(e.Rooms, name) })
		w.connections[e.ID] = c
	case sio.WatchRoomCreated, sio.WatchUserOnline:
		w.names[e.Name]++
	case sio.WatchRoomDeleted, sio.WatchUserOffline:
		if w.names[e.Name]--; w.names[e.Name] == 0 {
			delete(w.names, e.Name)
		}
	case sio.WatchSynced:
		if e.Node == "" {
			w.synced++
		}
	case sio.WatchResync:
	}
}

// watches are told what there is, and what becomes of it.
func watches(t *testing.T, f Fixture) {
	watch := func(sel room.Selector, r sio.WatchRequest) *watcher {
		t.Helper()
		r.To = in("/", sel)
		w, err := f.Hub.Watch(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
		return &watcher{Watch: w, connections: map[string]sio.Connection{}, names: map[string]int{}}
	}
	a, b := f.Connect("/", "u", "r"), f.Connect("/", "v")
	f.Connect("/chat", "u")
	all := watch(room.Selector{All: true}, sio.WatchRequest{Connections: true})
	names := watch(room.Selector{All: true}, sio.WatchRequest{Rooms: true, Users: true})
	inRoom := watch(room.Selector{Rooms: []string{"r"}}, sio.WatchRequest{Connections: true})
	knows := func(w *watcher, ids ...string) func() bool {
		return func() bool {
			return w.synced == 1 && slices.Equal(slices.Sorted(maps.Keys(w.connections)), slices.Sorted(slices.Values(ids)))
		}
	}
	named := func(want ...string) func() bool {
		return func() bool { return slices.Equal(slices.Sorted(maps.Keys(names.names)), want) }
	}
	all.until(t, "all at first", knows(all, a, b))
	inRoom.until(t, "the room at first", knows(inRoom, a))
	names.until(t, "names at first", named("r", "u", "v"))
	apply := func(op sio.Op) {
		t.Helper()
		if _, err := f.Hub.Apply(t.Context(), op); err != nil {
			t.Fatal(err)
		}
	}
	one := in("/", room.Selector{IDs: []string{b}})
	apply(sio.Join{To: one, Rooms: []string{"r", "s"}})
	inRoom.until(t, "who joined", knows(inRoom, a, b))
	all.until(t, "a join", func() bool { return slices.Contains(all.connections[b].Rooms, "s") })
	names.until(t, "a new room", named("r", "s", "u", "v"))
	apply(sio.Update{Namespace: "/", ID: b, Changes: sio.Changes{Data: map[string]any{"k": "v"}}})
	all.until(t, "an update", func() bool { return fmt.Sprint(all.connections[b].Data["k"]) == "v" })
	apply(sio.Leave{To: one, Rooms: []string{"r"}})
	inRoom.until(t, "who left", knows(inRoom, a))
	all.until(t, "a leave", func() bool { return !slices.Contains(all.connections[b].Rooms, "r") })
	c := f.Connect("/", "u", "r")
	all.until(t, "a new one", knows(all, a, b, c))
	inRoom.until(t, "a new one in the room", knows(inRoom, a, c))
	apply(sio.Disconnect{To: one})
	all.until(t, "an end", knows(all, a, c))
	names.until(t, "the end of names", named("r", "u"))

	if _, err := f.Hub.Watch(t.Context(), sio.WatchRequest{To: everybody("/none"), Connections: true}); !errors.Is(err, sio.ErrUnknownNamespace) {
		t.Errorf("of an unknown namespace: %v, want ErrUnknownNamespace", err)
	}
}
