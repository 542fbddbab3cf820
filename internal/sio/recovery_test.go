package sio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

var recovering = Options{Namespaces: []string{"/", "/n-*"}, RecoveryWindow: time.Minute}

// returner is a client that can be cut off and come back, as the stock client
// does it: with its pid and the last string that ended an event.
type returner struct {
	*wiretest.WS
	w               *world
	namespace       string // "" or "/chat,"
	id, pid, offset string
	heard           []string // of the latest session, up to its CONNECT reply
	recovered       bool
}

func (w *world) returner(namespace string) *returner {
	w.t.Helper()
	r := &returner{w: w, namespace: namespace}
	r.connect()
	return r
}

// connect opens a session and says what there is to say.
func (r *returner) connect() {
	r.w.t.Helper()
	r.WS = r.w.listener.MustDialWS(r.w.t, "EIO=4&transport=websocket")
	r.WS.Next() // open
	auth := ""
	if r.pid != "" {
		b, _ := json.Marshal(map[string]string{"pid": r.pid, "offset": r.offset, "token": "t"})
		if r.offset == "" {
			b, _ = json.Marshal(map[string]string{"pid": r.pid})
		}
		auth = string(b)
	}
	r.Say("40" + r.namespace + auth)
	r.heard = nil
	for {
		m := r.WS.Next()
		body, ok := strings.CutPrefix(m, "40"+r.namespace)
		if !ok {
			r.note(m)
			continue
		}
		var o struct{ SID, PID string }
		if err := json.Unmarshal([]byte(body), &o); err != nil || o.SID == "" || o.PID == "" {
			r.w.t.Fatalf("CONNECT answered %q", m)
		}
		r.recovered = o.PID == r.pid
		r.id, r.pid = o.SID, o.PID
		return
	}
}

// note reads an event, without its offset, which is noted.
func (r *returner) note(m string) {
	r.w.t.Helper()
	var args []any
	if err := json.Unmarshal([]byte(strings.TrimPrefix(m, "42"+r.namespace)), &args); err != nil {
		r.w.t.Fatalf("%q is no event", m)
	}
	if last, ok := args[len(args)-1].(string); ok && len(args) > 1 {
		r.offset = last
		args = args[:len(args)-1]
	}
	r.heard = append(r.heard, strings.Trim(fmt.Sprint(args), "[]"))
}

// next returns the next event.
func (r *returner) next() string {
	r.w.t.Helper()
	r.note(r.WS.Next())
	return r.heard[len(r.heard)-1]
}

// cut closes the connection under the session.
func (r *returner) cut() {
	r.Close()
	synctest.Wait()
}

// back comes back, and checks whether it does so as what it was, and what it
// missed.
func (r *returner) back(recovered bool, missed ...string) {
	r.w.t.Helper()
	id := r.id
	r.connect()
	if r.recovered != recovered || (r.id == id) != recovered {
		r.w.t.Errorf("recovered %v, want %v", r.recovered, recovered)
	}
	if !slices.Equal(r.heard, missed) {
		r.w.t.Errorf("missed %q, want %q", r.heard, missed)
	}
}

func (w *world) emit(sel room.Selector, name string) { w.apply(Emit{To: to(sel), Event: name}) }

func (w *world) view(id string) Connection {
	w.t.Helper()
	v, err := w.Connection(context.Background(), "/", id)
	if err != nil {
		w.t.Fatalf("Connection %s: %v", id, err)
	}
	return v
}

// viewIn is view in a namespace that clients call "" or "/chat,".
func (w *world) viewIn(namespace, id string) Connection {
	w.t.Helper()
	v, err := w.Connection(context.Background(), "/"+strings.Trim(namespace, "/,"), id)
	if err != nil {
		w.t.Fatalf("Connection %s: %v", id, err)
	}
	return v
}

var all = room.Selector{All: true}

func TestRecovery(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		w.backend.admit = Admission{User: "u", Rooms: []string{"granted"}, Data: map[string]any{"a": 1.0, "b": 1.0}}
		r := w.returner("")
		witness, _ := w.connect("")
		witness.Idle()
		w.apply(Join{To: to(room.Selector{IDs: []string{r.id}}), Rooms: []string{"r", "s"}})
		w.apply(Update{Namespace: "/", ID: r.id, Changes: Changes{Data: map[string]any{"b": 2.0, "c": 3.0}}})
		w.emit(all, "first")
		expect(t, "event", r.next(), "first")
		w.clearHeard()
		r.cut()
		expect(t, "heard at once", strings.Join(w.backend.take(), "; "), "disconnected / transport close")
		expect(t, "matched while offline", w.apply(Emit{To: to(room.Selector{IDs: []string{r.id}}), Event: "to its id"}), 0)

		w.emit(all, "to all")
		w.emit(room.Selector{Rooms: []string{"r"}}, "to its room")
		w.emit(room.Selector{Rooms: []string{"granted"}}, "to its granted room")
		w.emit(room.Selector{Users: []string{"u"}}, "to its user")
		w.emit(room.Selector{Rooms: []string{"other"}}, "to another room")
		w.emit(room.Selector{Users: []string{"v"}}, "to another user")
		w.emit(room.Selector{All: true, Except: []string{"s"}}, "to all but its room")
		w.emit(room.Selector{All: true, Except: []string{r.id}}, "to all but it")
		w.apply(Emit{To: everybody, Event: "volatile", Volatile: true})
		w.ask(context.Background(), AckRequest{Timeout: time.Second, Emit: Emit{To: everybody, Event: "ask"}})
		time.Sleep(time.Minute - time.Second)

		w.backend.admit.Rooms = []string{"granted", "new"}
		w.backend.admit.Data = map[string]any{"a": 5.0, "d": 4.0}
		w.backend.take()
		r.back(true, "to its id", "to all", "to its room", "to its granted room", "to its user")
		synctest.Wait()
		heard := w.backend.take()
		expect(t, "heard", strings.Join(heard, "; "),
			fmt.Sprintf(`connecting / {"offset":"1","pid":%q,"token":"t"}; connected /`, r.pid))
		v := w.view(r.id)
		expect(t, "user", v.UserID, "u")
		want := []string{r.id, "granted", "new", "r", "s"}
		slices.Sort(want)
		expect(t, "rooms", strings.Join(v.Rooms, " "), strings.Join(want, " "))
		expect(t, "data", fmt.Sprint(v.Data), "map[a:5 b:2 c:3 d:4]")
		expect(t, "recovered", v.Recovered(), true)

		// And once more, with nothing missed.
		r.cut()
		r.back(true)
		w.emit(all, "afterwards")
		expect(t, "event", r.next(), "afterwards")
		r.cut()
		w.emit(all, "missed")
		r.back(true, "missed")
		r.Close()
		witness.Close()
	})
}

// A client that has heard nothing yet has nothing to say, and comes back too.
func TestRecoveryOfTheQuiet(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		r := w.returner("")
		r.cut()
		r.back(true)
		time.Sleep(10 * time.Minute) // nobody answers the pings
		synctest.Wait()
		r.cut()
		r.back(false) // long gone
		r.cut()
		w.emit(all, "missed")
		r.back(true, "missed")
		w.emit(all, "lost")
		r.cut()
		r.offset = ""
		r.back(true, "missed", "lost") // as far as it says it has heard nothing
		r.Close()
	})
}

func TestRecoveryIsNot(t *testing.T) {
	tests := []struct {
		name string
		why  Recovery
		kept bool                    // for its own user
		do   func(*world, *returner) // while the client is offline
	}{
		{"after the window", RecoveryExpired, false, func(*world, *returner) { time.Sleep(time.Minute) }},
		{"with an offset that never was", RecoveryUnknownOffset, false, func(_ *world, r *returner) { r.offset = "zzz" }},
		{"with an offset that is none", RecoveryUnknownOffset, false, func(_ *world, r *returner) { r.offset = "-1" }},
		{"with another pid", RecoveryUnknown, true, func(_ *world, r *returner) { r.pid = r.pid[:len(r.pid)-1] + "!" }},
		{"with a pid of another run", RecoveryNodeGone, true, func(_ *world, r *returner) { r.pid = "other" + r.pid[5:] }},
		{"in another namespace", RecoveryUnknown, true, func(_ *world, r *returner) { r.namespace = "/n-1," }},
		{"as another user", RecoveryOtherUser, true, func(w *world, _ *returner) { w.backend.admit.User = "v" }},
		{"while somebody else does", RecoveryBusy, true, func(w *world, r *returner) {
			if _, err := w.namespaces.find("/").recovery.find(r.pid, r.offset); err != nil {
				t.Error(err)
			}
		}},
		{"after it was evicted", RecoveryEvicted, false, func(w *world, _ *returner) {
			recovery := w.namespaces.find("/").recovery
			recovery.nsp.mu.Lock()
			defer recovery.nsp.mu.Unlock()
			for len(recovery.pids) > 0 {
				recovery.evictOldestLocked()
			}
		}},
		{"after it was to leave a room", RecoveryChanged, false, func(w *world, _ *returner) { w.apply(Leave{To: everybody, Rooms: []string{"r"}}) }},
		{"after it was to join a room", RecoveryChanged, false, func(w *world, _ *returner) {
			w.apply(Join{To: to(room.Selector{Users: []string{"u"}}), Rooms: []string{"x"}})
		}},
		{"after its user was disconnected", RecoveryChanged, false, func(w *world, _ *returner) {
			w.apply(Disconnect{To: to(room.Selector{Rooms: []string{"r"}})})
		}},
		{"after more than fits its queue", RecoveryTooMuch, true, func(w *world, _ *returner) {
			for range 3 {
				w.apply(event("x", `["`+strings.Repeat("x", 1<<20)+`"]`))
			}
		}},
		{"after more than is kept", RecoveryEvicted, false, func(w *world, _ *returner) {
			for i := range 100 {
				w.apply(Emit{To: to(room.Selector{Rooms: []string{"other"}}), Event: "x", Args: []byte(fmt.Sprintf(`["%s",%d]`, strings.Repeat("x", 1<<17), i))})
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := recovering
			opts.RecoveryBytes = 8 << 20
			inBubble(t, opts, func(w *world) {
				w.backend.admit.User = "u"
				r := w.returner("")
				other, _ := w.connect("") // keeps the log going
				other.Idle()
				w.apply(Join{To: to(room.Selector{IDs: []string{r.id}}), Rooms: []string{"r"}})
				w.emit(all, "first")
				r.next()
				r.cut()
				w.backend.take()
				tt.do(w, r)
				was := r.id
				r.back(false)
				synctest.Wait()
				expect(t, "counted", fmt.Sprint(w.counters.recoveries.All()), fmt.Sprintf("map[%s:1]", tt.why))
				if heard := w.backend.take(); slices.Contains(heard, "expired / "+string(tt.why)) == tt.kept {
					t.Errorf("heard %q", heard)
				}
				if v := w.viewIn(r.namespace, r.id); v.Recovery != tt.why || v.Recovered() {
					t.Errorf("the new connection says %q", v.Recovery)
				}
				if _, err := w.Connection(context.Background(), "/", was); !errors.Is(err, ErrNotFound) {
					t.Errorf("the old connection: %v, want ErrNotFound", err)
				}
				if kept := w.retention.kept(); kept > opts.RecoveryBytes {
					t.Errorf("%d bytes are kept", kept)
				}
				r.Close()
				other.Close()
			})
		})
	}
}

func TestRecoveryReasons(t *testing.T) {
	for _, tt := range []struct {
		name      string
		end       func(*world, *returner)
		recovered bool
	}{
		{"client says goodbye to the session", func(_ *world, r *returner) { r.Say("1"); r.Closed() }, true},
		{"client leaves the namespace", func(_ *world, r *returner) { r.Say("41") }, false},
		{"server ends the transport", func(w *world, r *returner) { w.apply(Disconnect{To: everybody, Mode: DisconnectTransport}); r.Closed() }, true},
		{"server ends the namespace", func(w *world, r *returner) { w.apply(Disconnect{To: everybody}) }, false},
		{"mistake", func(_ *world, r *returner) { r.Say("4nonsense"); r.Closed() }, false},
		{"ping timeout", func(_ *world, r *returner) { time.Sleep(time.Minute); r.Closed() }, true},
		{"age", func(w *world, r *returner) {
			w.namespaces.find("/").members.Lookup(r.id).Value.conn.session.Close(engineio.ReasonMaxAge)
			r.MustClose(1001, ReasonMaxAge)
		}, true},
		{"expiry", func(w *world, r *returner) {
			w.apply(Update{Namespace: "/", ID: r.id, Changes: Changes{Expire: time.Now().Add(time.Second)}})
			r.Closed()
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, recovering, func(w *world) {
				r := w.returner("")
				tt.end(w, r)
				synctest.Wait()
				r.back(tt.recovered)
				r.Close()
			})
		})
	}
}

// A pid is good for one return from one cut, by one client.
func TestRecoveryOnce(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		w.backend.admit.User = "u"
		r := w.returner("")
		thief := *r
		thief.back(false) // the owner is there
		r.cut()
		w.backend.admit.User = "v"
		stolen := *r
		w.backend.take()
		stolen.back(false)
		synctest.Wait()
		expect(t, "heard of the thief", strings.Join(w.backend.take(), "; "), fmt.Sprintf(
			`connecting / {"pid":%q}; disconnected / not recovered; connecting / {"pid":%[1]q}; connected /`, r.pid))
		w.backend.admit.User = "u"
		w.backend.refuse = &Refusal{Message: "no"}
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say(`40{"pid":"` + r.pid + `"}`)
		expect(t, "refused", c.Next(), `44{"message":"no"}`)
		w.backend.refuse = nil
		again := *r
		r.back(true) // neither attempt cost the owner anything
		again.back(false)
		for _, c := range []*returner{r, &thief, &stolen, &again} {
			c.Close()
		}
		c.Close()
	})
}

// What was on its way when the connection was cut comes again, in order; if
// rooms changed meanwhile, nobody can tell what it was.
func TestRecoveryOfWhatWasOnItsWay(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		r := w.returner("")
		w.emit(all, "first")
		r.next()
		w.emit(all, "second")
		w.emit(all, "third")
		r.cut()
		w.emit(all, "fourth")
		r.back(true, "second", "third", "fourth")
		// The same again: the return itself did not arrive.
		r.offset = "1"
		r.cut()
		r.back(true, "second", "third", "fourth")

		w.emit(all, "fifth")
		w.apply(Join{To: everybody, Rooms: []string{"r"}})
		w.emit(room.Selector{Rooms: []string{"r"}}, "sixth")
		r.cut()
		r.back(false)
		w.emit(all, "seventh")
		expect(t, "event", r.next(), "seventh")
		w.apply(Join{To: everybody, Rooms: []string{"r"}})
		r.cut() // nothing is on its way now
		w.emit(room.Selector{Rooms: []string{"r"}}, "eighth")
		r.back(true, "eighth")
		r.Close()
	})
}

// ownerOf owns these connections.
type ownerOf struct {
	noOwners
	ids []string
}

func (o *ownerOf) Owned(string, Owner) []string { return slices.Clone(o.ids) }

// What was for an owner's connections comes again to those that were the owner's when it was
// sent; a client that is away is nobody's.
func TestRecoveryOfWhatWasForAnOwner(t *testing.T) {
	owner := &ownerOf{}
	opts := recovering
	opts.Owners = owner
	inBubble(t, opts, func(w *world) {
		r, other := w.returner(""), w.returner("")
		emit := func(name string) {
			to := to(all)
			to.Owner = Owner{"group", "consumer"}
			w.apply(Emit{To: to, Event: name})
		}
		owner.ids = []string{r.id}
		w.emit(all, "first")
		emit("of its owner") // on its way when it is cut
		r.next()
		r.cut()
		owner.ids = nil
		emit("while it is nobody's")
		r.back(true, "of its owner")
		other.cut()
		other.back(true, "first")
		r.Close()
		other.Close()
	})
}

// The numbers of what happens to a connection go on when it comes back, so that
// a backend can tell it apart.
func TestRecoveryNumbers(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		w.backend.numbers = true
		r := w.returner("")
		r.cut()
		r.back(true)
		synctest.Wait()
		expect(t, "heard", strings.Join(w.backend.take(), "; "), fmt.Sprintf(
			`1 connecting / ; 2 connected /; 3 disconnected / transport close; 4 connecting / {"pid":%q}; 5 connected /`, r.pid))
		r.Close()
	})
}

// lone is a server with one offline session, whose pid is "secret".
func lone(t testing.TB) (*recovery, *offlineSession) {
	s, err := NewServer(Options{RecoveryWindow: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r := s.namespaces.find("/").recovery
	o := &offlineSession{pid: "secret", id: "id", until: time.Now().Add(time.Minute), reported: make(chan struct{}), history: eventHistory{lastOffset: "1"}}
	o.entry, o.place = r.index.Add(o.id, "", o), r.order.PushBack(o)
	r.pids[o.pid] = o
	return r, o
}

// claimed is what the data of a CONNECT packet ask for, nil if they do not get it.
func claimed(ctx context.Context, r *recovery, auth []byte) (*offlineSession, string) {
	pid, offset := wanted(auth)
	if pid == "" {
		return nil, ""
	}
	o, err := r.claim(ctx, pid, offset)
	if err != nil {
		return nil, ""
	}
	return o, offset
}

// A backend hears of the end before it hears of the return, within bounds.
func TestClaimWaitsForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := lone(t)
		auth := []byte(`{"pid":"secret","offset":"1"}`)
		start := time.Now()
		if got, _ := claimed(t.Context(), r, auth); got != nil || time.Since(start) != maxHold {
			t.Errorf("claimed %v after %v", got, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start = time.Now()
		if got, _ := claimed(ctx, r, auth); got != nil || time.Since(start) != time.Second {
			t.Errorf("claimed %v after %v by a session that has ended", got, time.Since(start))
		}
		time.AfterFunc(time.Second, func() {
			if got, _ := claimed(t.Context(), r, auth); got != nil {
				t.Error("claimed twice")
			}
			close(o.reported)
		})
		start = time.Now()
		got, offset := claimed(t.Context(), r, auth)
		if got != o || offset != "1" || time.Since(start) != time.Second {
			t.Errorf("claimed %v, offset %q, after %v", got, offset, time.Since(start))
		}
	})
}

// What is too old goes in pieces: however much that is, no operation waits for all
// of it. An offline session whose turn has not come is gone all the same.
func TestRecoveryPrunesInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, last := lone(t)
		close(last.reported)
		const many = 10*removeAtOnce + 1
		e := event("x", "[]")
		r.nsp.mu.Lock()
		for i := range many {
			l := r.logged(&e, uint64(i+1), r.nsp.outgoing(&e))
			r.log.append(l)
			r.accountLocked(l.size)
		}
		r.nsp.mu.Unlock()
		time.Sleep(r.memory)
		if got, _ := claimed(t.Context(), r, []byte(`{"pid":"secret","offset":"1"}`)); got != nil {
			t.Error("claimed an offline session that is too old")
		}
		r.nsp.mu.Lock()
		before := len(r.log.entries)
		due := r.pruneLocked(time.Now())
		expect(t, "removed at once", before-len(r.log.entries), removeAtOnce)
		expect(t, "due", due, 0)
		r.nsp.mu.Unlock()
		r.pruneAll()
		expect(t, "left", len(r.log.entries)+len(r.pids), 0)
	})
}

// Clients of a namespace that a pattern made come back to it, though it was
// empty meanwhile; nothing stays of it when nobody can come back any more.
func TestRecoveryInAChild(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		r := w.returner("/n-1,")
		r.cut()
		expect(t, "namespaces", w.listed(), "/ 0, /n-1 0")
		w.apply(Emit{To: in("/n-1"), Event: "x"})
		r.back(true, "x")
		expect(t, "namespaces", w.listed(), "/ 0, /n-1 1")
		r.cut()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		expect(t, "namespaces", w.listed(), "/ 0")
		expect(t, "bytes kept", w.retention.kept(), 0)
	})
}

// Everything is given back in time, and what nobody could miss is not kept.
func TestRecoveryForgets(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		w.emit(all, "to nobody")
		expect(t, "kept of it", w.retention.kept(), 0)
		r := w.returner("")
		w.emit(all, "first")
		r.next()
		r.cut()
		w.emit(all, "missed")
		if w.retention.kept() == 0 {
			t.Error("nothing is kept")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		expect(t, "kept in the end", w.retention.kept(), 0)
		rec := w.namespaces.find("/").recovery
		expect(t, "events", len(rec.log.entries), 0)
		expect(t, "connections", len(rec.pids)+rec.order.Len()+rec.index.Len(), 0)
	})
}

// Stats say how many connections may come back, and what is kept for them.
func TestOfflineIsCounted(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		count := func(what string, offline int, kept bool) {
			t.Helper()
			s := w.Stats()
			expect(t, "offline, "+what, s.Offline, offline)
			expect(t, "kept, "+what, s.Retained > 0, kept)
		}
		a, b := w.returner(""), w.returner("")
		count("while they are there", 0, false)
		a.cut()
		b.cut()
		count("when they are cut off", 2, true)
		a.back(true)
		count("when one is back", 1, true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		count("when the other's time is over", 0, false)
		a.Close()
	})
}

// A flood of connections that are cut keeps no more than it may.
func TestRecoveryBounded(t *testing.T) {
	opts := recovering
	opts.RecoveryBytes = 20_000
	inBubble(t, opts, func(w *world) {
		var last *returner
		for range 100 {
			last = w.returner("")
			last.cut()
			if kept := w.retention.kept(); kept > opts.RecoveryBytes {
				t.Fatalf("%d bytes are kept", kept)
			}
		}
		last.back(true)
		last.Close()
	})
}

// Numbers in data are kept as they were written, however long.
func TestWeighNumbers(t *testing.T) {
	digits := strings.Repeat("1", 1000)
	for _, v := range []any{digits, json.Number(digits), []any{json.Number(digits)}, map[string]any{"n": json.Number(digits)}} {
		if n := weigh(v); n < 1000 {
			t.Errorf("%T weighs %d bytes", v, n)
		}
	}
}

// Clients of Socket.IO v2 know nothing of it: nothing is kept for them.
func TestRecoveryOfOldClients(t *testing.T) {
	opts := oldClients
	opts.RecoveryWindow = time.Minute
	inBubble(t, opts, func(w *world) {
		c := w.listener.MustDialWS(t, freshV2)
		c.Next() // open
		expect(t, "CONNECT", c.Next(), "40")
		c.Close()
		synctest.Wait()
		expect(t, "kept", w.retention.kept(), 0)
	})
}

func TestRecoveryOff(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, _ := w.connect("")
		w.apply(event("x", "[1]"))
		expect(t, "event", c.Next(), `42["x",1]`)
		c.Close()
		synctest.Wait()
		c = w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say(`40{"pid":"x","offset":"1"}`)
		if reply := c.Next(); strings.Contains(reply, "pid") {
			t.Errorf("CONNECT answered %s", reply)
		}
		expect(t, "kept", w.retention.kept(), 0)
		c.Close()
	})
}

// A client of either encoding gets what it missed in its own.
func TestRecoveryInMessagePack(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		c := w.dialPacked()
		c.say("0")
		var o struct{ SID, PID string }
		if err := json.Unmarshal([]byte(c.next()[1:]), &o); err != nil || o.PID == "" {
			t.Fatalf("%+v, %v", o, err)
		}
		text := w.returner("")
		c.Close()
		synctest.Wait()
		w.apply(Emit{To: everybody, Event: "x", Args: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}})
		w.emit(all, "y")
		before := w.retention.kept()
		c = w.dialPacked()
		c.say(`0{"pid":"` + o.PID + `"}`)
		expect(t, "missed", c.next(), `51-["x",{"_placeholder":true,"num":0},"1"] "\x01"`)
		expect(t, "missed", c.next(), `2["y","2"]`)
		expect(t, "reply", c.next(), fmt.Sprintf(`0{"sid":%q,"pid":%q}`, o.SID, o.PID))
		if w.retention.kept() >= before {
			t.Errorf("%d bytes are kept, before %d", w.retention.kept(), before)
		}
		c.Close()
		text.Close()
	})
}

// Much was missed, in an encoding that nobody needed so far, and is dropped from
// the log while it is being looked through.
func TestRecoveryOfMuch(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		c := w.dialPacked()
		c.say("0")
		pid := c.next()
		pid = strings.TrimSuffix(pid[strings.Index(pid, `"pid":"`)+len(`"pid":"`):], `"}`)
		text := w.returner("")
		c.Close()
		synctest.Wait()
		const many = 10*fewEvents + 7
		for i := range many {
			w.apply(event("n", fmt.Sprintf("[%d]", i)))
			text.next()
		}
		rec := w.namespaces.find("/").recovery
		stop := make(chan struct{})
		var dropping sync.WaitGroup
		dropping.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				rec.nsp.mu.Lock()
				if rec.log.oldest() != nil && rec.pids[pid] != nil && rec.pids[pid].claimed {
					rec.accountLocked(-rec.log.removeOldest())
				}
				rec.nsp.mu.Unlock()
			}
		})
		c = w.dialPacked()
		c.say(`0{"pid":"` + pid + `"}`)
		// Either all of it, or none.
		first := c.next()
		close(stop)
		dropping.Wait()
		if strings.HasPrefix(first, "2") {
			for i := range many {
				if want := fmt.Sprintf(`2["n",%d,%q]`, i, formatOffset("", uint64(i+1))); first != want {
					t.Fatalf("got %s, want %s", first, want)
				}
				first = c.next()
			}
		}
		if !strings.HasPrefix(first, `0{"sid":`) {
			t.Errorf("CONNECT answered %s", first)
		}
		c.Close()
		text.Close()
	})
}

// Clients are cut off and come back under emits, and miss none.
func TestRecoveryChurn(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		const last = 2000
		var clients sync.WaitGroup
		ready := make(chan struct{}, 4)
		for i := range 4 {
			clients.Go(func() {
				r := w.returner("")
				ready <- struct{}{}
				n := 0
				take := func(m string) {
					n++
					if want := fmt.Sprint("n ", n); m != want {
						t.Errorf("got %q, want %q", m, want)
					}
				}
				for n < last {
					for range 50 + 30*i {
						if n < last {
							take(r.next())
						}
					}
					id := r.id
					r.Close()
					time.Sleep(time.Duration(1+i) * time.Millisecond) // the cut is noticed
					r.connect()
					if !r.recovered || r.id != id {
						t.Errorf("not recovered after event %d", n)
						return
					}
					for _, m := range r.heard {
						take(m)
					}
				}
				r.Close()
			})
		}
		for range 4 {
			<-ready
		}
		for i := range last {
			w.apply(event("n", fmt.Sprintf("[%d]", i+1)))
			if i%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		clients.Wait()
	})
}

// Whatever a client claims to be, it is nobody else.
func FuzzClaim(f *testing.F) {
	f.Add(`{"pid":"secret","offset":"1"}`)
	f.Add(`{"pid":"secret"}`)
	f.Add(`{"pid":"secret","offset":"01"}`)
	f.Add(`{"pid":7,"offset":"1"}`)
	f.Add(`{"PID":"secret","offset":null}`)
	f.Fuzz(func(t *testing.T, auth string) {
		r, o := lone(t)
		close(o.reported)
		got, offset := claimed(t.Context(), r, []byte(auth))
		if got == nil {
			return
		}
		var said map[string]any
		if err := json.Unmarshal([]byte(auth), &said); err != nil {
			t.Fatalf("%q claimed with what is no JSON", auth)
		}
		if !strings.Contains(fmt.Sprint(said), "secret") || offset != "" && offset != "1" {
			t.Errorf("%q claimed, offset %q", auth, offset)
		}
	})
}

// A busy namespace fills all that recovery may keep; what a quiet one keeps later
// is younger, and stays.
func TestRecoveryEvictsTheOldestOfAllNamespaces(t *testing.T) {
	o := Options{Namespaces: []string{"/", "/chat"}, RecoveryWindow: time.Minute, RecoveryBytes: 1 << 20}
	inBubble(t, o, func(w *world) {
		witness, _ := w.connect("")
		witness.Idle()
		for range 5000 { // small, so that nothing of the 1 MiB is left
			w.apply(Emit{To: everybody, Event: "busy", Args: []byte(`["` + strings.Repeat("x", 100) + `"]`)})
		}
		time.Sleep(time.Second)

		chat := Target{Namespace: "/chat", Selector: room.Selector{All: true}}
		r := w.returner("/chat,")
		w.apply(Emit{To: chat, Event: "first"})
		expect(t, "event", r.next(), "first")
		r.cut()
		w.apply(Emit{To: chat, Event: "missed"})
		time.Sleep(time.Second)
		r.back(true, "missed")
	})
}
