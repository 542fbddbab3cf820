package sio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// picture is what a reader of a watch knows.
type picture struct {
	connections map[string]string // by namespace and id
	rooms       map[string]bool   // by namespace and name
	users       map[string]bool
	synced      int
	resyncs     int
	mistakes    []string // what makes no sense by what was told before
}

func newPicture() *picture {
	return &picture{connections: map[string]string{}, rooms: map[string]bool{}, users: map[string]bool{}}
}

// seen is what the picture has of a connection.
type seen struct {
	user  string
	rooms map[string]bool
	data  string
}

func (s seen) String() string {
	return fmt.Sprint(s.user, " ", slices.Sorted(maps.Keys(s.rooms)), " ", s.data)
}

func seenOf(c *Connection) string {
	s := seen{user: c.UserID, rooms: map[string]bool{}, data: fmt.Sprint(c.Data)}
	for _, name := range c.Rooms {
		s.rooms[name] = true
	}
	return s.String()
}

// change changes the rooms of what the picture has.
func (p *picture) change(key string, rooms []string, there bool) {
	text := p.connections[key]
	open, end := strings.Index(text, "["), strings.Index(text, "]")
	if open < 0 {
		p.mistake("rooms of nobody")
		return
	}
	list := strings.Fields(text[open+1 : end])
	for _, name := range rooms {
		if slices.Contains(list, name) == there {
			p.mistake(fmt.Sprint("room ", name, " again: ", there))
		}
		if there {
			list = append(list, name)
		} else {
			list = slices.DeleteFunc(list, func(other string) bool { return other == name })
		}
	}
	slices.Sort(list)
	p.connections[key] = fmt.Sprint(text[:open], list, text[end+1:])
}

func (p *picture) mistake(what string) { p.mistakes = append(p.mistakes, what) }

func (p *picture) take(e *WatchEvent) {
	key := e.Namespace + " " + e.ID
	_, known := p.connections[key]
	should := map[WatchKind]bool{WatchRemoved: true, WatchUpdated: true, WatchJoined: true, WatchLeft: true}
	if e.ID != "" && known != should[e.Kind] {
		p.mistake(fmt.Sprintf("%d of a connection that is known: %v", e.Kind, known))
	}
	name := e.Namespace + " " + e.Name
	set := func(of map[string]bool, there bool) {
		if of[name] == there {
			p.mistake(fmt.Sprint("name ", name, " again: ", there))
		}
		if delete(of, name); there {
			of[name] = true
		}
	}
	switch e.Kind {
	case WatchAdded, WatchUpdated:
		if e.Connection.ID != e.ID || e.Connection.Namespace != e.Namespace || e.Connection.Transport == "" {
			p.mistake(fmt.Sprintf("connection %+v", e.Connection))
		}
		p.connections[key] = seenOf(e.Connection)
	case WatchRemoved:
		delete(p.connections, key)
	case WatchJoined:
		p.change(key, e.Rooms, true)
	case WatchLeft:
		p.change(key, e.Rooms, false)
	case WatchRoomCreated:
		set(p.rooms, true)
	case WatchRoomDeleted:
		set(p.rooms, false)
	case WatchUserOnline:
		set(p.users, true)
	case WatchUserOffline:
		set(p.users, false)
	case WatchSynced:
		p.synced++
	case WatchResync:
		clear(p.connections)
		clear(p.rooms)
		clear(p.users)
		p.resyncs++
	}
}

// read reads until nothing is left for the moment.
func (p *picture) read(w Watch) {
	for {
		select {
		case <-w.Ready():
			for _, e := range w.Next() {
				p.take(&e)
			}
		default:
			return
		}
	}
}

// truth is what a picture should be.
func truth(t *testing.T, s *Server, r WatchRequest, namespaces ...string) *picture {
	t.Helper()
	want := newPicture()
	for _, name := range namespaces {
		to := r.To
		to.Namespace = name
		for page := (ConnectionPage{}); ; {
			var err error
			if page, err = s.Connections(context.Background(), to, page.Next, 1000); err != nil {
				t.Fatal(err)
			}
			for _, c := range page.Connections {
				if r.Connections {
					want.connections[name+" "+c.ID] = seenOf(&c)
				}
				if r.Users && c.UserID != "" {
					want.users[name+" "+c.UserID] = true
				}
				for _, room := range c.Rooms {
					if r.Rooms && room != c.ID {
						want.rooms[name+" "+room] = true
					}
				}
			}
			if page.Next == "" {
				break
			}
		}
	}
	return want
}

// compare reports how a picture differs from what it should be.
func (p *picture) compare(t *testing.T, what string, want *picture) {
	t.Helper()
	if !maps.Equal(p.connections, want.connections) {
		t.Errorf("%s: connections\n%v, want\n%v", what, p.connections, want.connections)
	}
	if !maps.Equal(p.rooms, want.rooms) {
		t.Errorf("%s: rooms\n%v, want\n%v", what, p.rooms, want.rooms)
	}
	if !maps.Equal(p.users, want.users) {
		t.Errorf("%s: users\n%v, want\n%v", what, p.users, want.users)
	}
	if len(p.mistakes) > 0 {
		t.Errorf("%s: %q", what, p.mistakes)
	}
	p.mistakes = nil
}

func (w *world) watch(r WatchRequest) Watch {
	w.t.Helper()
	watch, err := w.Watch(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return watch
}

// crowd is connections that come, change and go.
type crowd struct {
	w       *world
	random  *rand.Rand
	mu      sync.Mutex
	clients map[string]*wiretest.WS // by id
}

var crowdNamespaces = []string{"/", "/n-1", "/n-2"}

func (c *crowd) name(kind string) string { return fmt.Sprint(kind, c.random.IntN(5)) }

func (c *crowd) names(kind string) (names []string) {
	for range c.random.IntN(3) {
		names = append(names, c.name(kind))
	}
	return names
}

func (c *crowd) anyone() string {
	ids := slices.Sorted(maps.Keys(c.clients))
	if len(ids) == 0 {
		return "nobody"
	}
	return ids[c.random.IntN(len(ids))]
}

func (c *crowd) selector() (sel room.Selector) {
	if sel.All = c.random.IntN(2) == 0; !sel.All {
		sel.Rooms, sel.Users = c.names("r"), c.names("u")
		for range c.random.IntN(3) {
			sel.IDs = append(sel.IDs, c.anyone())
		}
	}
	if c.random.IntN(3) == 0 {
		sel.Except = c.names("r")
	}
	return sel
}

// step does something.
func (c *crowd) step() {
	c.mu.Lock()
	defer c.mu.Unlock()
	namespace := crowdNamespaces[c.random.IntN(len(crowdNamespaces))]
	to := Target{Namespace: namespace, Selector: c.selector()}
	apply := func(op Op) { c.w.Apply(context.Background(), op) } // whom it reaches is left to chance
	switch c.random.IntN(11) {
	case 0, 1, 2:
		if len(c.clients) > 40 {
			return
		}
		c.w.backend.decide = func(context.Context, *Socket) (Admission, error) {
			user := ""
			if c.random.IntN(3) > 0 {
				user = c.name("u")
			}
			return Admission{User: user, Rooms: c.names("r")}, nil
		}
		ws, id := c.w.connect(strings.TrimSuffix(namespace, "/"))
		ws.Idle()
		c.clients[id] = ws
	case 3:
		if ws := c.clients[c.anyone()]; ws != nil {
			ws.Close()
			maps.DeleteFunc(c.clients, func(_ string, other *wiretest.WS) bool { return other == ws })
		}
	case 4, 5:
		apply(Join{To: to, Rooms: append(c.names("r"), c.name("r"))})
	case 6, 7:
		apply(Leave{To: to, Rooms: append(c.names("r"), c.name("r"))})
	case 8:
		changes := Changes{Data: map[string]any{c.name("k"): c.name("v")}}
		if c.random.IntN(2) == 0 {
			user := []string{"", c.name("u")}[c.random.IntN(2)]
			changes.User = &user
		}
		apply(UpdateAll{To: to, Changes: changes})
	case 9:
		if to.All = false; c.random.IntN(3) == 0 {
			apply(Disconnect{To: to})
		}
	case 10:
		changes := Changes{User: userOf("")}
		if c.random.IntN(3) > 0 {
			changes.User = userOf(c.name("u"))
		}
		if c.random.IntN(3) == 0 {
			changes.Data = map[string]any{c.name("k"): c.name("v")}
		}
		apply(UpdateAll{To: to, Changes: changes})
	}
}

func (c *crowd) leave() {
	for _, ws := range c.clients {
		ws.Close()
	}
}

// Watches of all kinds of targets tell what listings say, whatever happens before, while and
// after they tell what there was.
func TestWatchModel(t *testing.T) {
	const steps = 1500
	for seed := range uint64(8) {
		opts := Options{Namespaces: []string{"/", "/n-*"}}
		inBubble(t, opts, func(w *world) {
			c := &crowd{w: w, random: rand.New(rand.NewPCG(seed, 1)), clients: map[string]*wiretest.WS{}}
			defer c.leave()
			type reader struct {
				Watch
				*picture
				request    WatchRequest
				namespaces []string
			}
			var readers []*reader
			for i := range steps {
				c.step()
				if len(readers) < 12 && c.random.IntN(30) == 0 {
					r := &reader{picture: newPicture(), namespaces: crowdNamespaces[:1]}
					r.request = WatchRequest{To: Target{Namespace: "/", Selector: c.selector()}, Connections: c.random.IntN(4) > 0, Rooms: c.random.IntN(2) > 0, Users: c.random.IntN(2) > 0}
					switch c.random.IntN(3) {
					case 1:
						r.namespaces = crowdNamespaces[1:2]
					case 2:
						r.namespaces = crowdNamespaces[1:]
					}
					if r.request.To.Namespace = r.namespaces[0]; len(r.namespaces) > 1 {
						r.request.To.Namespace = "/n-*"
					}
					r.Watch = w.watch(r.request)
					r.Watch.(*serverWatch).piece = 2 + c.random.IntN(4)
					readers = append(readers, r)
				}
				if len(readers) > 0 && c.random.IntN(3) == 0 {
					r := readers[c.random.IntN(len(readers))]
					for _, e := range r.Next() { // once, and maybe for nothing
						r.take(&e)
					}
				}
				if i%100 == 99 {
					synctest.Wait()
					for n, r := range readers {
						r.read(r)
						r.compare(t, fmt.Sprintf("seed %d, step %d, watch %d of %+v", seed, i, n, r.request), truth(t, w.Server, r.request, r.namespaces...))
						expect(t, "synced", r.synced, 1)
					}
				}
				if len(readers) > 0 && c.random.IntN(60) == 0 {
					i := c.random.IntN(len(readers))
					readers[i].Stop()
					readers = slices.Delete(readers, i, i+1)
				}
			}
			for _, r := range readers {
				r.Stop()
			}
			expect(t, "watches in the end", w.Stats().Watches, 0)
			for _, n := range w.namespaces.all() {
				x := &n.watches
				expect(t, "watches of "+n.name, len(x.all)+len(x.everybody)+len(x.rooms)+len(x.users)+len(x.ids), 0)
			}
		})
	}
}

// A reader that is too slow is told so, and then all there is, now and then.
func TestWatchOfASlowReader(t *testing.T) {
	inBubble(t, Options{Node: "a"}, func(w *world) {
		c, id := w.connect("")
		c.Idle()
		one := to(room.Selector{IDs: []string{id}})
		r := WatchRequest{To: everybody, Connections: true, Rooms: true, Users: true}
		watch, p := w.watch(r), newPicture()
		defer watch.Stop()
		flood := func() {
			for i := range maxWatchQueue/watchEventSize/2 + 1 {
				w.apply(Join{To: one, Rooms: []string{fmt.Sprint("r", i)}})
				w.apply(Leave{To: one, Rooms: []string{fmt.Sprint("r", i)}})
			}
			w.apply(Join{To: one, Rooms: []string{"r"}})
		}
		p.read(watch)
		expect(t, "synced", p.synced, 1)
		for i := range 3 {
			flood()
			expect(t, "events that wait", len(watch.(*serverWatch).queue), 0)
			p.read(watch)
			expect(t, "resyncs at once", p.resyncs, i)
			time.Sleep(watchPause)
			synctest.Wait()
			p.read(watch)
			expect(t, "resyncs", p.resyncs, i+1)
			expect(t, "synced", p.synced, i+2)
			p.compare(t, "after a resync", truth(t, w.Server, r, "/"))
		}
		expect(t, "counted", w.Stats().WatchResyncs, 3)
		c.Close()
	})
}

// What waits for all readers together is bounded, and a reader that reads has its share of it.
func TestWatchesOfSlowReaders(t *testing.T) {
	inBubble(t, Options{Node: "a"}, func(w *world) {
		c, id := w.connect("")
		c.Idle()
		defer c.Close()
		one := to(room.Selector{IDs: []string{id}})
		r := WatchRequest{To: everybody, Connections: true}
		var slow []*serverWatch
		for range 2 * maxWatchQueues / maxWatchQueue {
			watch := w.watch(r)
			newPicture().read(watch)
			slow = append(slow, watch.(*serverWatch))
		}
		quick, p := w.watch(r), newPicture()
		p.read(quick)
		rooms := make([]string, 500) // of 100 KB
		for i := range rooms {
			rooms[i] = fmt.Sprint(i, strings.Repeat("x", 200))
		}
		most, lagging := 0, 0
		for range maxWatchQueue / (2 * 500 * 200) {
			w.apply(Join{To: one, Rooms: rooms})
			w.apply(Leave{To: one, Rooms: rooms})
			p.read(quick)
			sum := 0
			for _, watch := range slow {
				sum += watch.bytes
			}
			most = max(most, sum)
		}
		for _, watch := range slow {
			if watch.lagging {
				lagging++
			}
		}
		if limit := maxWatchQueues + len(slow)*watchShare; most > limit || most < maxWatchQueues/2 || lagging == 0 {
			t.Errorf("at most %d bytes waited, and %d watches lag; want %d at most, and some", most, lagging, limit)
		}
		expect(t, "resyncs of who reads", p.resyncs, 0)
		p.compare(t, "who reads", truth(t, w.Server, r, "/"))
		quick.Stop()
		for _, watch := range slow {
			watch.Stop()
		}
		expect(t, "bytes in the end", w.namespaces.watchBytes.Load(), int64(0))
	})
}

// What there is at the beginning is told in pieces that the queue holds, however many rooms
// each connection is in.
func TestWatchOfManyRooms(t *testing.T) {
	inBubble(t, Options{Node: "a"}, func(w *world) {
		const connections, each = 10, 7000
		var clients []*wiretest.WS
		var ids []string
		for i := range connections {
			c, id := w.connect("")
			c.Idle()
			rooms := make([]string, each)
			for j := range rooms {
				rooms[j] = fmt.Sprintf("r%d-%d", i, j)
			}
			w.apply(Join{To: to(room.Selector{IDs: []string{id}}), Rooms: rooms})
			clients, ids = append(clients, c), append(ids, id)
		}
		for _, sel := range []room.Selector{{All: true}, {IDs: ids}} {
			r := WatchRequest{To: to(sel), Rooms: true}
			watch, p := w.watch(r), newPicture()
			p.read(watch)
			expect(t, "resyncs", p.resyncs, 0)
			expect(t, "synced", p.synced, 1)
			expect(t, "rooms", len(p.rooms), connections*each)
			time.Sleep(watchPause)
			synctest.Wait()
			p.read(watch)
			expect(t, "resyncs after a pause", p.resyncs, 0)
			watch.Stop()
		}
		for _, c := range clients {
			c.Close()
		}
	})
}

// A namespace that comes to be just before the watch begins is told of once.
func TestWatchOfANamespaceThatIsNew(t *testing.T) {
	inBubble(t, Options{Node: "a", Namespaces: []string{"/n-*"}}, func(w *world) {
		r := WatchRequest{To: Target{Namespace: "/n-*", Selector: room.Selector{All: true}}, Connections: true, Rooms: true, Users: true}
		watch, p := w.newWatch(r), newPicture()
		pattern := NewPattern(r.To.Namespace)
		watch.pattern = &pattern
		if !w.namespaces.watch(watch) {
			t.Fatal("too many watches")
		}
		defer watch.Stop()
		c, id := w.connect("/n-1")
		w.apply(Join{To: Target{Namespace: "/n-1", Selector: room.Selector{IDs: []string{id}}}, Rooms: []string{"r"}})
		watch.begin()
		p.read(watch)
		p.compare(t, "the watch", truth(t, w.Server, r, "/n-1"))
		expect(t, "synced", p.synced, 1)
		c.Close()
	})
}

// What is told, word by word.
func TestWatch(t *testing.T) {
	inBubble(t, Options{Node: "a", Namespaces: []string{"/", "/n-*"}}, func(w *world) {
		w.backend.admit = Admission{User: "u", Rooms: []string{"hall"}}
		a, idA := w.connect("")
		inRoom := WatchRequest{To: to(room.Selector{Rooms: []string{"r"}}), Connections: true, Rooms: true, Users: true}
		watch := w.watch(inRoom)
		defer watch.Stop()
		tell := func() string {
			synctest.Wait()
			var all []string
			for len(watch.Ready()) > 0 {
				<-watch.Ready()
				for _, e := range watch.Next() {
					text := [...]string{"added", "removed", "updated", "joined", "left", "room", "no room", "user", "no user", "synced", "resync"}[e.Kind]
					if e.Connection != nil {
						text += " " + e.Connection.UserID
					}
					all = append(all, strings.TrimSpace(text+" "+strings.Join(e.Rooms, ",")+e.Name+e.Reason))
					if e.Kind == WatchSynced {
						expect(t, "the node of the first Synced", e.Node, "")
						continue
					}
					expect(t, "the node of "+text, e.Node, "a")
				}
			}
			return strings.Join(all, "; ")
		}
		ids := to(room.Selector{IDs: []string{idA}})
		expect(t, "at first", tell(), "synced")
		for _, step := range []struct {
			name string
			op   Op
			want string
		}{
			{"another room", Join{To: ids, Rooms: []string{"s"}}, ""},
			{"the room", Join{To: ids, Rooms: []string{"r", "t"}}, "user u; room hall; room r; room s; room t; added u"},
			{"rooms", Join{To: ids, Rooms: []string{"x"}}, "room x; joined x"},
			{"no rooms", Leave{To: ids, Rooms: []string{"x", "t"}}, "left x,t; no room x; no room t"},
			{"data", Update{Namespace: "/", ID: idA, Changes: Changes{Data: map[string]any{"a": 1}}}, "updated u"},
			{"the room left", Leave{To: ids, Rooms: []string{"r"}}, "removed; no room hall; no room r; no room s; no user u"},
			{"the room again", Join{To: ids, Rooms: []string{"r"}}, "user u; room hall; room r; room s; added u"},
			{"the end", Disconnect{To: ids}, "removed server namespace disconnect; no room hall; no room r; no room s; no user u"},
		} {
			w.apply(step.op)
			got := tell()
			if parts, want := strings.Split(got, "; "), strings.Split(step.want, "; "); len(parts) > 4 { // rooms are in no order
				slices.Sort(parts)
				slices.Sort(want)
				got, step.want = strings.Join(parts, "; "), strings.Join(want, "; ")
			}
			expect(t, step.name, got, step.want)
		}
		a.Close()
	})
}

// A watch that is read while much happens at once comes to what there is.
func TestWatchRaces(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var ids []string
		for range 20 {
			c, id := w.connect("")
			c.Idle()
			defer c.Close()
			ids = append(ids, id)
		}
		var changing sync.WaitGroup
		for i := range 4 {
			random := rand.New(rand.NewPCG(uint64(i), 3))
			changing.Go(func() {
				for range 2000 {
					one, name := to(room.Selector{IDs: ids[random.IntN(len(ids)):][:1]}), fmt.Sprint("r", random.IntN(3))
					if random.IntN(2) == 0 {
						w.apply(Join{To: one, Rooms: []string{name}})
					} else {
						w.apply(Leave{To: one, Rooms: []string{name}})
					}
				}
			})
		}
		r := WatchRequest{To: to(room.Selector{Rooms: []string{"r1"}}), Connections: true, Rooms: true}
		watch, p := w.watch(r), newPicture()
		watch.(*serverWatch).piece = 2
		defer watch.Stop()
		done := make(chan struct{})
		go func() { changing.Wait(); close(done) }()
		for over := false; !over; {
			select {
			case <-watch.Ready():
				for _, e := range watch.Next() {
					p.take(&e)
				}
			case <-done:
				over = true
			}
		}
		p.read(watch)
		p.compare(t, "in the end", truth(t, w.Server, r, "/"))
	})
}

// Who is gone before it was told of is not told of.
func TestWatchOfSomebodyWhoIsGone(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a, idA := w.connect("")
		b, idB := w.connect("")
		r := WatchRequest{To: to(room.Selector{IDs: []string{idA, idB}}), Connections: true}
		watch, p := w.watch(r), newPicture()
		defer watch.Stop()
		a.Close()
		synctest.Wait()
		p.read(watch)
		p.compare(t, "the watch", truth(t, w.Server, r, "/"))
		expect(t, "connections", len(p.connections), 1)
		b.Close()
	})
}

func TestWatchesAreBounded(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		r := WatchRequest{To: everybody, Connections: true}
		var first Watch
		for range MaxWatches {
			if watch := w.watch(r); first == nil {
				first = watch
			}
		}
		if _, err := w.Watch(t.Context(), r); !errors.Is(err, ErrBusy) {
			t.Errorf("one more: %v, want ErrBusy", err)
		}
		first.Stop()
		first.Stop()
		w.watch(r)
		r.To.Namespace = "/none"
		if _, err := w.Watch(t.Context(), r); !errors.Is(err, ErrUnknownNamespace) {
			t.Errorf("of no namespace: %v", err)
		}
	})
}
