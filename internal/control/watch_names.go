package control

import (
	"cmp"
	"slices"
	"strings"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// watchedName is a room or a user.
type watchedName struct {
	user            bool
	namespace, name string
}

func nameOf(e *sio.WatchEvent) watchedName {
	return watchedName{e.Kind == sio.WatchUserOnline || e.Kind == sio.WatchUserOffline, e.Namespace, e.Name}
}

func (n watchedName) there() *fanoutv1.WatchResponse_Change {
	if n.user {
		return &fanoutv1.WatchResponse_Change{Change: &fanoutv1.WatchResponse_Change_UserOnline{UserOnline: &fanoutv1.WatchResponse_UserOnline{Namespace: n.namespace, UserId: n.name}}}
	}
	return &fanoutv1.WatchResponse_Change{Change: &fanoutv1.WatchResponse_Change_RoomCreated{RoomCreated: &fanoutv1.WatchResponse_RoomCreated{Namespace: n.namespace, Room: n.name}}}
}

func (n watchedName) gone() *fanoutv1.WatchResponse_Change {
	if n.user {
		return &fanoutv1.WatchResponse_Change{Change: &fanoutv1.WatchResponse_Change_UserOffline{UserOffline: &fanoutv1.WatchResponse_UserOffline{Namespace: n.namespace, UserId: n.name}}}
	}
	return &fanoutv1.WatchResponse_Change{Change: &fanoutv1.WatchResponse_Change_RoomDeleted{RoomDeleted: &fanoutv1.WatchResponse_RoomDeleted{Namespace: n.namespace, Room: n.name}}}
}

// watchedNames are the rooms and users that a reader was told of, over the nodes that have
// them. A node that begins anew is in doubt until it has told all: what it does not tell
// again is gone then, and the reader hears of no more than that.
type watchedNames struct {
	nodes map[string]map[watchedName]bool // by node: true if that is not in doubt
	count map[watchedName]int             // of nodes
}

func newWatchedNames() watchedNames {
	return watchedNames{nodes: map[string]map[watchedName]bool{}, count: map[watchedName]int{}}
}

// add notes that a node has the name, and reports whether it is the first one.
func (w *watchedNames) add(node string, n watchedName) bool {
	at := w.nodes[node]
	if at == nil {
		at = map[watchedName]bool{}
		w.nodes[node] = at
	}
	_, known := at[n]
	if at[n] = true; known {
		return false
	}
	w.count[n]++
	return w.count[n] == 1
}

// remove notes that a node has the name no more, and reports whether none has.
func (w *watchedNames) remove(node string, n watchedName) bool {
	if _, known := w.nodes[node][n]; !known {
		return false
	}
	if delete(w.nodes[node], n); len(w.nodes[node]) == 0 {
		delete(w.nodes, node)
	}
	w.count[n]--
	if w.count[n] > 0 {
		return false
	}
	delete(w.count, n)
	return true
}

// doubt notes that a node begins anew.
func (w *watchedNames) doubt(node string) {
	for n := range w.nodes[node] {
		w.nodes[node][n] = false
	}
}

// settle notes that a node has told all, and returns what none has any more, in order.
func (w *watchedNames) settle(node string) (gone []watchedName) {
	for n, sure := range w.nodes[node] {
		if !sure && w.remove(node, n) {
			gone = append(gone, n)
		}
	}
	slices.SortFunc(gone, func(a, b watchedName) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
	})
	return gone
}
