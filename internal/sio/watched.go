package sio

import (
	"cmp"
	"iter"
	"slices"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// watched is what a watch has of one namespace, in one round. The namespace's lock guards
// what changes.
type watched struct {
	watch *serverWatch
	nsp   *Namespace
	asked uint64 // by watchIndex

	round uint64
	rest  snapshot
	rooms tally
	users tally
}

// snapshot is which of the connections that were there at the beginning have not been told
// yet. They are told in the order of their sequence numbers, up to last. The zero snapshot
// has told all.
type snapshot struct {
	last     uint64
	position uint64 // up to which they have been told

	scan *room.Scan[*Socket]    // of a target of one part, the members of which it finds
	list []*room.Entry[*Socket] // of one of several parts, which may overlap: those that are left
}

// tally counts connections by the names of their rooms, or users.
type tally map[string]int

// namespaces.watch adds w to the watches; false: there are too many.
func (ns *namespaces) watch(w *serverWatch) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if len(ns.watches) >= MaxWatches {
		return false
	}
	ns.watches = append(ns.watches, w)
	return true
}

// watchNewLocked has a namespace that nobody has yet be watched.
func (ns *namespaces) watchNewLocked(n *Namespace) {
	for _, w := range ns.watches {
		if w.matches(n.name) {
			w.mu.Lock()
			n.watches.add(newWatched(w, n, w.round))
			w.mu.Unlock()
		}
	}
}

// unwatch removes w, and returns the namespaces that it may be in.
func (ns *namespaces) unwatch(w *serverWatch) []*Namespace {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.watches = slices.DeleteFunc(ns.watches, func(other *serverWatch) bool { return other == w })
	return slices.Clone(ns.ordered)
}

func (ns *namespaces) watchCount() int {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return len(ns.watches)
}

func newWatched(w *serverWatch, n *Namespace, round uint64) *watched {
	return &watched{watch: w, nsp: n, round: round, rooms: tally{}, users: tally{}}
}

// watch begins a round for w, and returns what is to be told; nil: the round has begun, when
// the namespace did.
func (n *Namespace) watch(w *serverWatch, round uint64) *watched {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w.over() { // and has been removed here
		return nil
	}
	p := n.watches.of(w)
	switch {
	case p == nil:
		p = newWatched(w, n, round)
		n.watches.add(p)
	case p.round == round:
		return nil
	default:
		p.round, p.rest, p.rooms, p.users = round, snapshot{}, tally{}, tally{}
	}
	p.rest.last = n.members.LastSeq()
	sel := w.request.To.Selector
	if sel.All || len(sel.Rooms)+len(sel.IDs)+len(sel.Users) == 1 {
		p.rest.scan = room.NewScan[*Socket](sel, 0, 0)
		return p
	}
	n.members.Select(sel, func(e *room.Entry[*Socket]) { p.rest.list = append(p.rest.list, e) })
	slices.SortFunc(p.rest.list, func(a, b *room.Entry[*Socket]) int { return cmp.Compare(a.Seq(), b.Seq()) })
	return p
}

func (n *Namespace) unwatch(w *serverWatch) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.watches.remove(w)
}

// goOn tells of more of those that were there, and reports whether that were all.
func (p *watched) goOn() (done bool) {
	p.nsp.mu.Lock()
	defer p.nsp.mu.Unlock()
	for looked := 1; p.nextLocked(); looked++ {
		if looked >= p.watch.piece || p.watch.half() {
			return false
		}
	}
	p.rest = snapshot{}
	return true
}

// nextLocked looks at one more of those that were there, and reports whether there are more.
// They may be in so many rooms that a piece of more than one would not fit the queue.
func (p *watched) nextLocked() (more bool) {
	r := &p.rest
	if r.scan != nil {
		const one = 2 // the part of the target costs as much
		more = p.nsp.members.Next(r.scan, one, func(e *room.Entry[*Socket]) {
			if e.Seq() <= r.last {
				p.enterLocked(&Change{Socket: e.Value})
			}
		})
		r.position = r.scan.Position()
		return more && r.position < r.last
	}
	if len(r.list) == 0 {
		return false
	}
	s := r.list[0].Value
	if !s.gone.Load() && p.selectsLocked(s, s.entry.User(), s.entry.EachRoom) {
		p.enterLocked(&Change{Socket: s})
	}
	r.list = r.list[1:]
	return len(r.list) > 0
}

// includes reports whether s will still be told of, if it is in the target then.
func (r *snapshot) includes(s *Socket) bool {
	seq := s.entry.Seq()
	switch {
	case seq > r.last || seq <= r.position:
		return false
	case r.scan != nil:
		return true
	}
	_, found := slices.BinarySearchFunc(r.list, seq, func(e *room.Entry[*Socket], seq uint64) int { return cmp.Compare(e.Seq(), seq) })
	return found
}

// changedLocked tells the watch of a change.
func (p *watched) changedLocked(c *Change) {
	s := c.Socket
	if p.rest.includes(s) {
		return
	}
	was, is := p.selectedLocked(c)
	switch {
	case !was && is:
		p.enterLocked(c)
	case was && !is:
		p.exitLocked(c)
	case was:
		p.stayLocked(c)
	}
}

// selectedLocked reports whether the target had the connection before a change, and whether
// it has it now.
func (p *watched) selectedLocked(c *Change) (was, is bool) {
	s := c.Socket
	if c.Kind == ConnectionRemoved {
		return p.selectsLocked(s, *s.user.Load(), slices.Values(s.rooms)), false
	}
	user, rooms := s.entry.User(), iter.Seq[string](s.entry.EachRoom)
	is = p.selectsLocked(s, user, rooms)
	switch c.Kind {
	case ConnectionAdded:
		return false, is
	case ConnectionJoined:
		if !p.watch.matcher.Concerns(c.Rooms) {
			return is, is
		}
		return p.selectsLocked(s, user, lacking(rooms, c.Rooms)), is
	case ConnectionLeft:
		if !p.watch.matcher.Concerns(c.Rooms) {
			return is, is
		}
		return p.selectsLocked(s, user, joined(rooms, c.Rooms)), is
	case ConnectionUpdated:
		if c.User == nil {
			return is, is
		}
		return p.selectsLocked(s, *c.User, rooms), is
	}
	return is, is
}

func (p *watched) selectsLocked(s *Socket, user string, rooms iter.Seq[string]) bool {
	return p.watch.matcher.Match(s.id, user, rooms)
}

// enterLocked tells of a connection that is in the target.
func (p *watched) enterLocked(c *Change) {
	s, r := c.Socket, &p.watch.request
	if r.Users {
		p.countUserLocked(s.entry.User(), 1)
	}
	if r.Rooms {
		for name := range s.entry.EachRoom {
			p.countRoomLocked(s, name, 1)
		}
	}
	if r.Connections {
		p.showLocked(WatchAdded, c)
	}
}

// exitLocked tells of a connection that is not in the target any more.
func (p *watched) exitLocked(c *Change) {
	s, r := c.Socket, &p.watch.request
	if r.Connections {
		p.tellLocked(&WatchEvent{Kind: WatchRemoved, ID: s.id, Reason: c.Reason})
	}
	user, rooms := *s.user.Load(), slices.Values(s.rooms) // at its end
	if c.Kind != ConnectionRemoved {
		user, rooms = s.entry.User(), s.entry.EachRoom
	}
	switch { // as it was counted
	case c.Kind == ConnectionJoined:
		rooms = lacking(rooms, c.Rooms)
	case c.Kind == ConnectionLeft:
		rooms = joined(rooms, c.Rooms)
	case c.User != nil:
		user = *c.User
	}
	if r.Rooms {
		for name := range rooms {
			p.countRoomLocked(s, name, -1)
		}
	}
	if r.Users {
		p.countUserLocked(user, -1)
	}
}

// stayLocked tells of a change of a connection that was in the target and is.
func (p *watched) stayLocked(c *Change) {
	s, r := c.Socket, &p.watch.request
	switch c.Kind {
	case ConnectionAdded, ConnectionRemoved: // then it enters, or leaves
	case ConnectionJoined:
		if r.Rooms {
			for _, name := range c.Rooms {
				p.countRoomLocked(s, name, 1)
			}
		}
		if r.Connections {
			p.tellLocked(&WatchEvent{Kind: WatchJoined, ID: s.id, Rooms: c.Rooms})
		}
	case ConnectionLeft:
		if r.Connections {
			p.tellLocked(&WatchEvent{Kind: WatchLeft, ID: s.id, Rooms: c.Rooms})
		}
		if r.Rooms {
			for _, name := range c.Rooms {
				p.countRoomLocked(s, name, -1)
			}
		}
	case ConnectionUpdated:
		if c.User != nil && r.Users {
			p.countUserLocked(s.entry.User(), 1)
			p.countUserLocked(*c.User, -1)
		}
		if r.Connections {
			p.showLocked(WatchUpdated, c)
		}
	}
}

// showLocked tells of a connection as a whole. All watches share what it shows.
func (p *watched) showLocked(k WatchKind, c *Change) {
	if c.view == nil {
		view := c.Socket.viewLocked()
		c.view, c.size = &view, view.Size()
	}
	p.tellLocked(&WatchEvent{Kind: k, ID: c.Socket.id, Connection: c.view, socket: c.Socket, size: c.size})
}

func (p *watched) countUserLocked(name string, change int) {
	if name != "" {
		p.countLocked(p.users, name, change, WatchUserOnline, WatchUserOffline)
	}
}

// countRoomLocked counts s in a room, unless that is the room of its own.
func (p *watched) countRoomLocked(s *Socket, name string, change int) {
	if name != s.id {
		p.countLocked(p.rooms, name, change, WatchRoomCreated, WatchRoomDeleted)
	}
}

// countLocked counts, and tells of the first of a name and of the last.
func (p *watched) countLocked(t tally, name string, change int, first, last WatchKind) {
	was := t[name]
	switch is := was + change; {
	case is == 0:
		delete(t, name)
		p.tellLocked(&WatchEvent{Kind: last, Name: name})
	case was == 0:
		t[name] = is
		p.tellLocked(&WatchEvent{Kind: first, Name: name})
	default:
		t[name] = is
	}
}

func (p *watched) tellLocked(e *WatchEvent) {
	e.Namespace = p.nsp.name
	p.watch.push(p.round, e)
}

// lacking yields the names that are not in the list.
func lacking(names iter.Seq[string], list []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range names {
			if !slices.Contains(list, name) && !yield(name) {
				return
			}
		}
	}
}

// joined yields the names and those of the list.
func joined(names iter.Seq[string], list []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range names {
			if !yield(name) {
				return
			}
		}
		for _, name := range list {
			if !yield(name) {
				return
			}
		}
	}
}
