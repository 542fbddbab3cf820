package sio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
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

func TestEmit(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/chat"}}, func(w *world) {
		a, idA := w.connect("")
		b, idB := w.connect("")
		chat, _ := w.connect("/chat")
		w.apply(Join{To: to(room.Selector{IDs: []string{idA}}), Rooms: []string{"some room"}})

		send := func(sel room.Selector, name string) int {
			return w.apply(Emit{To: to(sel), Event: name, Args: []byte(`[{"b":1, "a":2}]`)})
		}
		expect(t, "to all", send(room.Selector{All: true}, "all"), 2)
		expect(t, "to the room", send(room.Selector{Rooms: []string{"some room"}}, "room"), 1)
		expect(t, "to all but the room", send(room.Selector{All: true, Except: []string{"some room"}}, "except"), 1)
		expect(t, "to an id", send(room.Selector{IDs: []string{idB}}, "id"), 1)
		expect(t, "to an id as a room", send(room.Selector{Rooms: []string{idB}}, "own room"), 1)
		expect(t, "each once", send(room.Selector{Rooms: []string{"some room", idA, idB}, IDs: []string{idA}}, "once"), 2)
		expect(t, "to nobody", send(room.Selector{Rooms: []string{"empty"}}, "nobody"), 0)
		expect(t, "to the zero selector", send(room.Selector{}, "nobody"), 0)
		w.apply(Leave{To: everybody, Rooms: []string{"some room"}})
		expect(t, "to the room that was left", send(room.Selector{Rooms: []string{"some room"}}, "nobody"), 0)
		w.apply(Emit{To: everybody, Event: "bin", Args: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}})
		w.apply(Emit{To: Target{Namespace: "/chat", Selector: room.Selector{All: true}}, Event: "chat"})
		w.apply(event("end", ""))

		read := func(next func() string) (got []string) {
			for {
				m := next()
				if m == `42["end"]` {
					return got
				}
				got = append(got, strings.TrimSuffix(strings.TrimPrefix(m, `42["`), `",{"b":1, "a":2}]`))
			}
		}
		bin := `|451-["bin",{"_placeholder":true,"num":0}]|binary:` + "\x01\x02"
		expect(t, "a got", strings.Join(read(a.Next), "|"), "all|room|once"+bin)
		expect(t, "b got", strings.Join(read(b.Next), "|"), "all|except|id|own room|once"+bin)
		expect(t, "chat got", chat.Next(), `42/chat,["chat"]`)

		s := w.Stats()
		expect(t, "emitted", s.Emitted, 12)
		expect(t, "sent", s.Sent, 13)
		for _, c := range []interface{ Close() error }{a, b, chat} {
			c.Close()
		}
	})
}

func TestEmitTooLarge(t *testing.T) {
	inBubble(t, Options{Engine: engineio.Options{MaxQueue: 1000}}, func(w *world) {
		c, _ := w.connect("")
		_, err := w.Apply(context.Background(), event("x", `["`+strings.Repeat("x", 1000)+`"]`))
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("Apply: %v, want ErrTooLarge", err)
		}
		w.apply(event("small", ""))
		expect(t, "next event", c.Next(), `42["small"]`)
		c.Close()
	})
}

func TestUnknownNamespace(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		nope := Target{Namespace: "/nope", Selector: room.Selector{All: true}}
		for _, op := range []Op{Emit{To: nope, Event: "x"}, Join{To: nope}, Leave{To: nope}, Disconnect{To: nope}, Update{Namespace: "/nope"}} {
			if _, err := w.Apply(context.Background(), op); !errors.Is(err, ErrUnknownNamespace) {
				t.Errorf("%T: %v, want ErrUnknownNamespace", op, err)
			}
		}
	})
}

func TestUpdate(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, id := w.connect("")
		w.apply(Update{Namespace: "/", ID: id, Changes: Changes{Data: map[string]any{"a": 1.0, "b": "x"}}})
		before, _ := w.Connection(context.Background(), "/", id)
		w.apply(Update{Namespace: "/", ID: id, Changes: Changes{Data: map[string]any{"a": nil, "c": true}}})
		after, _ := w.Connection(context.Background(), "/", id)
		expect(t, "before", fmt.Sprint(before.Data), "map[a:1 b:x]") // an older view stays as it was
		expect(t, "after", fmt.Sprint(after.Data), "map[b:x c:true]")
		if _, err := w.Apply(context.Background(), Update{Namespace: "/", ID: "nope"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("unknown id: %v, want ErrNotFound", err)
		}
		if _, err := w.Connection(context.Background(), "/", "nope"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Connection: %v, want ErrNotFound", err)
		}
		c.Close()
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What a connection is given piece by piece is bounded as a whole; what is removed
// makes room.
func TestMaxData(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, id := w.connect("")
		give := func(key string, value any) error {
			_, err := w.Apply(context.Background(), Update{Namespace: "/", ID: id, Changes: Changes{Data: map[string]any{key: value}, Expire: time.Now().Add(time.Hour)}})
			return err
		}
		half := strings.Repeat("x", MaxData/2-6) // with its name, quotes and a colon: half
		must(t, give("a", half))
		must(t, give("b", half[:len(half)-3])) // and the braces and a comma
		before, _ := w.Connection(context.Background(), "/", id)
		for _, key := range []string{"b", "c"} {
			if err := give(key, half); !errors.Is(err, ErrTooMuchData) {
				t.Errorf("more than the bound for %s: %v", key, err)
			}
		}
		after, _ := w.Connection(context.Background(), "/", id)
		if !reflect.DeepEqual(after, before) {
			t.Error("what was refused has changed the connection")
		}
		must(t, give("a", nil))
		must(t, give("c", half))
		c.Close()
	})
}

// What JSON need not escape counts as it is: markup is no longer than other text.
func TestMaxDataCountsMarkup(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, id := w.connect("")
		for _, tt := range []struct {
			size int
			want error
		}{{MaxData, nil}, {MaxData + 1, ErrTooMuchData}} {
			text := strings.Repeat("<", tt.size-len(`{"a":""}`))
			_, err := w.Apply(t.Context(), Update{Namespace: "/", ID: id, Changes: Changes{Data: map[string]any{"a": text}}})
			if !errors.Is(err, tt.want) {
				t.Errorf("%d bytes: %v, want %v", tt.size, err, tt.want)
			}
		}
		c.Close()
	})
}

// Whoever updates at the same time, nobody's keys are lost.
func TestUpdatesAtOnce(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, id := w.connect("")
		var updating sync.WaitGroup
		for i := range 100 {
			updating.Go(func() {
				w.apply(Update{Namespace: "/", ID: id, Changes: Changes{Data: map[string]any{fmt.Sprint(i): i}}})
			})
		}
		updating.Wait()
		got, _ := w.Connection(context.Background(), "/", id)
		expect(t, "keys", len(got.Data), 100)
		c.Close()
	})
}

// Pages stay exact while connections come and go between them.
func TestConnections(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var ids []string
		closers := map[string]func() error{}
		for range 10 {
			c, id := w.connect("")
			ids = append(ids, id)
			closers[id] = c.Close
		}
		var got []string
		for page, cursor := 0, ""; ; page++ {
			list, err := w.Connections(context.Background(), everybody, cursor, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list.Connections {
				got = append(got, c.ID)
			}
			if cursor = list.Next; cursor == "" {
				break
			}
			if page == 0 { // one that was listed goes, one that was not, and one comes
				w.apply(Disconnect{To: to(room.Selector{IDs: []string{ids[0], ids[5]}})})
				c, id := w.connect("")
				ids = append(ids, id)
				closers[id] = c.Close
			}
		}
		want := slices.Delete(slices.Clone(ids), 5, 6)
		if !slices.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
		for _, c := range closers {
			c()
		}
	})
}

// Between two pages connections become other users of the target: each is listed once.
func TestConnectionsWhoseUserChanges(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var ids, got []string
		users := []string{"u", "v"}
		for i := range 10 {
			w.backend.admit.User = users[i%2]
			c, id := w.connect("")
			defer c.Close()
			ids = append(ids, id)
		}
		for page, cursor := 0, ""; ; page++ {
			list, err := w.Connections(context.Background(), to(room.Selector{Users: users, IDs: ids[:3]}), cursor, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list.Connections {
				got = append(got, c.ID)
			}
			if cursor = list.Next; cursor == "" {
				break
			}
			for i, id := range ids {
				w.apply(Update{Namespace: "/", ID: id, Changes: Changes{User: &users[(i+page)%2]}})
			}
		}
		if !slices.Equal(got, ids) {
			t.Errorf("listed %v, want %v", got, ids)
		}
	})
}

func TestCounts(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/chat"}}, func(w *world) {
		a, idA := w.connect("")
		b, idB := w.connect("")
		a.Join("/chat")
		w.backend.admit.User = "u"
		d, _ := w.connect("/chat")
		w.backend.admit.User = ""
		w.apply(Join{To: everybody, Rooms: []string{"r", "s"}})
		w.apply(Leave{To: to(room.Selector{IDs: []string{idB}}), Rooms: []string{"s"}})
		tests := []struct {
			to   Target
			by   GroupBy
			want map[string]int
		}{
			{everybody, GroupNone, map[string]int{"": 2}},
			{to(room.Selector{Rooms: []string{"s"}}), GroupNone, map[string]int{"": 1}},
			{everybody, GroupRoom, map[string]int{"r": 2, "s": 1, idA: 1, idB: 1}},
			{everybody, GroupTransport, map[string]int{"websocket": 2}},
			{everybody, GroupNamespace, map[string]int{"/": 2}},
			{Target{Selector: room.Selector{All: true}}, GroupNamespace, map[string]int{"/": 2, "/chat": 2}},
			{Target{Namespace: "/chat", Selector: room.Selector{All: true}}, GroupUser, map[string]int{"": 1, "u": 1}},
			{Target{Namespace: "/chat", Selector: room.Selector{Users: []string{"u"}}}, GroupUser, map[string]int{"u": 1}},
		}
		for _, tt := range tests {
			got, err := w.Count(context.Background(), tt.to, tt.by)
			if err != nil || !maps.Equal(got.Groups, tt.want) {
				t.Errorf("Count(%+v, %v) = %v, %v, want %v", tt.to, tt.by, got, err, tt.want)
			}
		}
		rooms, _ := w.Rooms(context.Background(), "/", RoomFilter{Prefix: "r"}, "", 10)
		expect(t, "rooms", fmt.Sprint(slices.DeleteFunc(rooms.Names, func(n Named) bool { return len(n.Name) > 1 }), rooms.Next == ""), "[{r 2 0}] true")
		nsps, _ := w.Namespaces(context.Background(), "", "", 1)
		expect(t, "namespaces", fmt.Sprint(nsps.Names, nsps.Next == "/"), "[{/ 2 4}] true")
		nsps, _ = w.Namespaces(context.Background(), "", "/", 1)
		expect(t, "namespaces", fmt.Sprint(nsps.Names, nsps.Next == ""), "[{/chat 2 2}] true")
		d.Close()
		a.Close()
		b.Close()
	})
}

// Operations race with clients that come and go: every client sees the events
// of its time in order, and nothing is left at the end.
func TestChurn(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var clients, emitter sync.WaitGroup
		stop := make(chan struct{})
		emitter.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				w.apply(event("n", fmt.Sprintf("[%d]", i)))
				w.apply(Join{To: everybody, Rooms: []string{fmt.Sprint("r", i%5)}})
				w.Count(context.Background(), everybody, GroupRoom)
			}
		})
		for range 8 {
			clients.Go(func() {
				for range 10 {
					c, _ := w.connect("")
					last := -1
					for range 20 {
						var n int
						if _, err := fmt.Sscanf(c.Next(), `42["n",%d]`, &n); err != nil {
							t.Errorf("%v", err)
						} else if last >= 0 && n != last+1 {
							t.Errorf("event %d follows %d", n, last)
						}
						last = n
					}
					c.Say("41")
					c.Close()
				}
			})
		}
		clients.Wait()
		close(stop)
		emitter.Wait()
	})
}

func TestAdmission(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		start := time.Now()
		w.backend.admit = Admission{User: "42", Rooms: []string{"vip"}, Data: map[string]any{"a": 1.0}, Expire: start.Add(10 * time.Second)}
		c, id := w.connect("")
		renewed, idRenewed := w.connect("")
		expect(t, "all devices of the user", w.apply(Emit{To: to(room.Selector{Users: []string{"42"}}), Event: "x"}), 2)
		expect(t, "event", c.Next(), `42["x"]`)
		v, _ := w.Connection(context.Background(), "/", id)
		expect(t, "user", v.UserID, "42")
		expect(t, "in the room", slices.Contains(v.Rooms, "vip"), true)
		expect(t, "data", fmt.Sprint(v.Data), "map[a:1]")
		expect(t, "expires", v.Expire.Equal(start.Add(10*time.Second)), true)

		w.apply(Update{Namespace: "/", ID: idRenewed, Changes: Changes{Expire: start.Add(20 * time.Second)}})
		c.MustClose(1000, ReasonExpired)
		expect(t, "closed after", time.Since(start), 10*time.Second)
		expect(t, "left", w.apply(event("still here", "")), 1)
		renewed.MustClose(1000, ReasonExpired)
		expect(t, "closed after", time.Since(start), 20*time.Second)
	})
}

// A Disconnect of many browsers that the backend is busy with takes one goroutine
// for all of them, and each browser's events stay in order.
func TestDisconnectStartsNoGoroutineForEach(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		const clients = 50
		var browsers []*wiretest.WS
		for range clients {
			c, _ := w.connect("")
			c.Say(`42["block"]`)
			browsers = append(browsers, c)
		}
		w.clearHeard()
		before := runtime.NumGoroutine()
		for _, c := range browsers { // so that no writer waits for one
			go c.Next()
		}
		expect(t, "disconnected", w.apply(Disconnect{To: everybody}), clients)
		synctest.Wait()
		if more := runtime.NumGoroutine() - before; more > 1 {
			t.Errorf("%d goroutines more", more)
		}
		expect(t, "heard while it is busy", len(w.backend.take()), 0)
		close(w.backend.block)
		synctest.Wait()
		heard := map[string]int{}
		for _, line := range w.backend.take() {
			heard[line]++
		}
		expect(t, "events", heard["event / block [] [] false 0"], clients)
		expect(t, "ends", heard["disconnected / server namespace disconnect"], clients)
		expect(t, "kinds of them", len(heard), 2)
	})
}

// Data beyond the bound, which a connection may have been admitted with, can shrink and
// not grow.
func TestTooMuchDataShrinks(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		large := strings.Repeat("x", MaxData)
		w.backend.decide = func(context.Context, *Socket) (Admission, error) {
			return Admission{Data: map[string]any{"a": large, "b": large}}, nil
		}
		c, id := w.connect("")
		give := func(data map[string]any) error {
			_, err := w.Apply(context.Background(), Update{Namespace: "/", ID: id, Changes: Changes{Data: data}})
			return err
		}
		if err := give(map[string]any{"a": large + "x"}); !errors.Is(err, ErrTooMuchData) {
			t.Errorf("growing: %v", err)
		}
		must(t, give(map[string]any{"a": large[1:]}))
		must(t, give(map[string]any{"a": nil}))
		must(t, give(map[string]any{"b": "y"}))
		c.Close()
	})
}
