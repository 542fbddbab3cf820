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
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

func in(namespace string) Target {
	return Target{Namespace: namespace, Selector: room.Selector{All: true}}
}

// listed returns the namespaces there are, each with its connections.
func (w *world) listed() string {
	w.t.Helper()
	page, err := w.Namespaces(context.Background(), "", "", 100)
	if err != nil || page.Next != "" {
		w.t.Fatalf("Namespaces: %v, next %q", err, page.Next)
	}
	var names []string
	for _, n := range page.Names {
		names = append(names, fmt.Sprintf("%s %d", n.Name, n.Connections))
	}
	return strings.Join(names, ", ")
}

// enter is what a client does that is let in.
func enter(t testing.TB, ns *namespaces, name string) {
	t.Helper()
	n, err := ns.acquire(name)
	if err == nil {
		err = ns.enter(n)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestChildren(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/tenant-*", "/*/live", "/tenant-named"}}, func(w *world) {
		expect(t, "at first", w.listed(), "/ 0, /tenant-named 0")
		a, _ := w.connect("/tenant-1")
		b, _ := w.connect("/tenant-1")
		live := b.Join("/x/live")
		a.Join("/tenant-named")
		expect(t, "later", w.listed(), "/ 0, /tenant-1 2, /tenant-named 1, /x/live 1")
		expect(t, "connections", w.Stats().Connections, 4)
		counts, _ := w.Count(context.Background(), Target{Selector: room.Selector{All: true}}, GroupNamespace)
		expect(t, "counts", fmt.Sprint(counts.Groups), "map[/tenant-1:2 /tenant-named:1 /x/live:1]")

		expect(t, "emit", w.apply(Emit{To: in("/tenant-1"), Event: "x"}), 2)
		expect(t, "event", a.Next(), `42/tenant-1,["x"]`)
		expect(t, "event", b.Next(), `42/tenant-1,["x"]`)
		v, err := w.Connection(context.Background(), "/x/live", live)
		expect(t, "connection", v.Namespace, "/x/live")
		expect(t, "error", err, nil)

		a.Say("41/tenant-1,")
		w.clearHeard()
		expect(t, "one has left", w.listed(), "/ 0, /tenant-1 1, /tenant-named 1, /x/live 1")
		w.apply(Disconnect{To: in("/tenant-1")})
		expect(t, "all have left", w.listed(), "/ 0, /tenant-named 1, /x/live 1")
		expect(t, "told", b.Next(), "41/tenant-1,")
		b.Join("/tenant-1") // anew
		expect(t, "one is back", w.listed(), "/ 0, /tenant-1 1, /tenant-named 1, /x/live 1")
		b.Say("1")
		b.MustClose(1000, "transport close")
		w.clearHeard()
		expect(t, "in the end", w.listed(), "/ 0, /tenant-named 1")
		a.Close()
	})
}

// A client that is refused leaves no namespace behind.
func TestChildRefused(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/*"}}, func(w *world) {
		w.backend.refuse = &Refusal{Message: "no"}
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say("40/a")
		expect(t, "refusal", c.Next(), `44/a,{"message":"no"}`)
		expect(t, "namespaces", w.listed(), "")
		w.backend.refuse = nil
		c.Join("/a")
		expect(t, "namespaces", w.listed(), "/a 1")
		c.Close()
	})
}

// Operations on a child that is not there reach nobody; one that cannot be
// there is unknown.
func TestAbsentChild(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/tenant-*"}}, func(w *world) {
		ctx := context.Background()
		for _, op := range []Op{Emit{To: in("/tenant-1"), Event: "x"}, Join{To: in("/tenant-1"), Rooms: []string{"r"}}, Leave{To: in("/tenant-1")}, Disconnect{To: in("/tenant-1")}} {
			expect(t, fmt.Sprintf("%T", op), w.apply(op), 0)
		}
		if _, err := w.Apply(ctx, Update{Namespace: "/tenant-1", ID: "x"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("Update: %v, want ErrNotFound", err)
		}
		if _, err := w.Connection(ctx, "/tenant-1", "x"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Connection: %v, want ErrNotFound", err)
		}
		if summary, err := w.EmitWithAck(ctx, AckRequest{Emit: Emit{To: in("/tenant-1"), Event: "x"}, Timeout: 1}, nil); err != nil || summary.Expected != 0 {
			t.Errorf("EmitWithAck: %v, %v", summary, err)
		}
		page, err := w.Connections(ctx, in("/tenant-1"), "", 10)
		if len(page.Connections) > 0 || page.Next != "" || err != nil {
			t.Errorf("Connections: %+v, %v", page, err)
		}
		rooms, err := w.Rooms(ctx, "/tenant-1", RoomFilter{IDs: true}, "", 10)
		if len(rooms.Names) > 0 || rooms.Next != "" || err != nil {
			t.Errorf("Rooms: %+v, %v", rooms, err)
		}
		expect(t, "namespaces", w.listed(), "")
		for _, name := range []string{"/", "/tenant-", "/other-*", "/tenant-1/x", "/other", "tenant-1", "/tenant-1,", "/tenant-1?", "/tenant-\n", "/tenant-" + strings.Repeat("x", 300), ""} {
			if _, err := w.Apply(ctx, Emit{To: in(name), Event: "x"}); !errors.Is(err, ErrUnknownNamespace) {
				t.Errorf("%.20q: %v, want ErrUnknownNamespace", name, err)
			}
		}
	})
}

func TestChildrenBounded(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/*"}, MaxChildren: 2, ConnectTimeout: 10 * time.Second}, func(w *world) {
		c, _ := w.connect("/a")
		c.Join("/b")
		c.Say("40/c,")
		expect(t, "one too many", c.Next(), `44/c,{"message":"try again later","data":{"retry":true}}`)
		other, _ := w.connect("/b") // is there
		other.Join("")
		c.Say("41/a,")
		w.clearHeard()
		other.Join("/c")
		c.Close()
		other.Close()
	})
	inBubble(t, Options{Namespaces: []string{"/*"}}, func(w *world) {
		c, _ := w.connect("/n0")
		for i := 1; i < maxJoined; i++ {
			c.Join(fmt.Sprint("/n", i))
		}
		c.Say("40/more,")
		expect(t, "one too many in a session", c.Next(), `44/more,{"message":"too many namespaces"}`)
		c.Say("41/n0,")
		c.Join("/more")
		c.Close()
	})
}

// Several CONNECTs at once, one of which has to wait for another namespace to go.
func TestChildrenBoundedAtOnce(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/*"}, MaxChildren: 2}, func(w *world) {
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		names := []string{"/a", "/b", "/c"}
		for _, name := range names {
			c.Say("40" + name + ",")
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(c.Next(), "40"), ",")
		second, _, _ := strings.Cut(strings.TrimPrefix(c.Next(), "40"), ",")
		c.Say("41" + first + ",")
		third, _, _ := strings.Cut(strings.TrimPrefix(c.Next(), "40"), ",")
		got := []string{first, second, third}
		slices.Sort(got)
		if !slices.Equal(got, names) {
			t.Errorf("joined %q, want %q", got, names)
		}
		c.Close()
	})
}

// Clients come and go in children while operations look for them.
func TestChildrenChurn(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/*"}}, func(w *world) {
		var clients, emitter sync.WaitGroup
		stop := make(chan struct{})
		emitter.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				w.apply(Emit{To: in(fmt.Sprint("/n", i%3)), Event: "x"})
				w.Stats()
			}
		})
		for i := range 6 {
			clients.Go(func() {
				for range 20 {
					name := fmt.Sprint("/n", i%3)
					c, id := w.connect(name)
					if n := w.apply(Emit{To: Target{Namespace: name, Selector: room.Selector{IDs: []string{id}}}, Event: "mine"}); n != 1 {
						t.Errorf("an emit to a client that is there matched %d", n)
					}
					for c.Next() != "42"+name+`,["mine"]` {
					}
					c.Say("41" + name)
					c.Close()
				}
			})
		}
		clients.Wait()
		close(stop)
		emitter.Wait()
		w.clearHeard()
		expect(t, "namespaces", w.listed(), "")
	})
}

// Pages of namespaces are those of a sorted list, while children come and go.
func TestNamespacePages(t *testing.T) {
	ns, err := newNamespaces(&Server{}, []string{"/", "/t-x", "/*", "/t-*"}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int{"/": 1, "/t-x": 1}
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 3000 {
		name := fmt.Sprintf("/%s%d", []string{"a", "t-", "z"}[r.IntN(3)], r.IntN(30))
		switch n := ns.find(name); {
		case there[name] == 0 || r.IntN(3) == 0:
			enter(t, ns, name)
			there[name]++
		default:
			ns.release(n)
			if there[name]--; there[name] == 0 {
				delete(there, name)
			}
		}
		prefix, after, limit := []string{"", "/", "/t-", "/t-1", "/zz"}[r.IntN(5)], []string{"", "/", "/t-", "/t-2", "/t-x", "/z"}[r.IntN(6)], r.IntN(8)
		var want []string
		for _, name := range slices.Sorted(maps.Keys(there)) {
			if strings.HasPrefix(name, prefix) && name > after {
				want = append(want, name)
			}
		}
		wantMore := limit > 0 && len(want) > limit
		want = want[:min(len(want), limit)]
		page, more := ns.page(prefix, after, limit)
		var got []string
		for _, n := range page {
			got = append(got, n.name)
		}
		if !slices.Equal(got, want) || more != wantMore {
			t.Fatalf("step %d, prefix %q after %q, %d: %q, %t, want %q, %t", step, prefix, after, limit, got, more, want, wantMore)
		}
		if all := len(ns.all()); all != len(there) {
			t.Fatalf("step %d: %d namespaces, want %d", step, all, len(there))
		}
	}
}

func BenchmarkNamespacePage(b *testing.B) {
	const children = 10_000
	s, err := NewServer(Options{Namespaces: []string{"/t-*"}, MaxChildren: children})
	if err != nil {
		b.Fatal(err)
	}
	for i := range children {
		enter(b, s.namespaces, fmt.Sprintf("/t-%d", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		if page, err := s.Namespaces(context.Background(), "/t-5", "", 100); err != nil || len(page.Names) != 100 {
			b.Fatal(len(page.Names), err)
		}
	}
}

// Whatever a client calls its namespace, it matches as the pattern says.
func FuzzNamespace(f *testing.F) {
	ns, err := newNamespaces(&Server{}, []string{"/", "/tenant-*", "/*/live"}, 10)
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"/", "/tenant-1", "/tenant-", "/x/live", "/x/y/live", "/tenant-*", "/tenant-1,", "tenant-1", "/tenant-é"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		n, refusal := ns.acquire(name)
		if (n == nil) == (refusal == nil) {
			t.Fatalf("namespace %v and refusal %v", n, refusal)
		}
		if n == nil {
			return
		}
		defer ns.release(n)
		if err := ns.enter(n); err != nil {
			t.Fatal(err)
		}
		one, live := strings.TrimPrefix(name, "/tenant-"), strings.TrimSuffix(strings.TrimPrefix(name, "/"), "/live")
		isOne := len(one)+len("/tenant-") == len(name) && one != "" && !strings.Contains(one, "/")
		isLive := len(live)+len("//live") == len(name) && live != "" && !strings.Contains(live, "/")
		if n.name != name || name != "/" && !isOne && !isLive || strings.ContainsAny(name, "*,?\n") || len(name) > maxNamespaceName {
			t.Errorf("%q entered %q", name, n.name)
		}
		if ns.find(name) != n {
			t.Errorf("%q is not found", name)
		}
	})
}
