package sio

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// TestEveryNamespace: a star alone lets clients into any namespace that can be one, as a
// child, and what else is listed keeps its own policy.
func TestEveryNamespace(t *testing.T) {
	o := Options{Namespaces: []string{"*", "/named", "/map-*"}, VolatileIn: map[string]VolatilePolicy{"*": DropOldest, "/map-*": DropNewest}}
	inBubble(t, o, func(w *world) {
		expect(t, "at first", w.listed(), "/named 0")
		c, _ := w.connect("")
		for _, name := range []string{"/a", "/x/y/z", "/named", "/map-1", "/é", "/" + strings.Repeat("x", maxNamespaceName-1)} {
			c.Join(name)
			want := DropOldest
			if name == "/map-1" {
				want = DropNewest
			}
			expect(t, "volatile in "+name, w.namespaces.find(name).volatile, want)
		}
		for _, name := range []string{"/a*", "/a/**", "/a\nb", "/" + strings.Repeat("x", maxNamespaceName)} {
			c.Say("40" + name + ",")
			expect(t, fmt.Sprintf("answer for %.10q", name), c.Next(), "44"+name+`,{"message":"Invalid namespace"}`)
		}
		expect(t, "root", w.apply(Emit{To: in("/"), Event: "x"}), 1)
		expect(t, "one that is not there", w.apply(Emit{To: in("/not/there"), Event: "x"}), 0)
		c.Close()
		w.clearHeard()
		expect(t, "in the end", w.listed(), "/named 0")
	})
}

// undecided returns how many namespaces there are that nobody was let into.
func (w *world) undecided() int {
	w.namespaces.mu.RLock()
	defer w.namespaces.mu.RUnlock()
	return len(w.namespaces.undecided)
}

// knock opens sessions that ask for so many namespaces each, which nobody has asked for.
func (w *world) knock(sessions, each int) (all []*wiretest.WS) {
	for i := range sessions {
		c := w.listener.MustDialWS(w.t, "EIO=4&transport=websocket")
		c.Next()
		for j := range each {
			c.Say(fmt.Sprintf("40/stranger-%d-%d,", i, j))
		}
		all = append(all, c)
	}
	synctest.Wait()
	return all
}

// TestStrangersMakeNoNamespaces: what clients ask for is no namespace until one of them is
// let in. It takes no place of those that are, is not listed, and leaves nothing behind,
// whatever ends the question.
func TestStrangersMakeNoNamespaces(t *testing.T) {
	for name, tt := range map[string]struct {
		verdict error                // nil: there is none
		end     func([]*wiretest.WS) // nil: the verdict is
	}{
		"refused":             {&Refusal{Message: "no"}, nil},
		"nobody decides":      {&Unavailable{Message: "nobody"}, nil},
		"the clients go":      {nil, closeAll},
		"the clients give up": {nil, leaveAll},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Namespaces: []string{"*"}, MaxChildren: 2, RecoveryWindow: time.Minute, ConnectTimeout: 20 * time.Second}
			inBubble(t, o, func(w *world) {
				decided := make(chan struct{})
				w.backend.decide = func(ctx context.Context, s *Socket) (Admission, error) {
					if !strings.HasPrefix(s.Namespace(), "/stranger") {
						return Admission{}, nil
					}
					select {
					case <-decided:
						return Admission{}, tt.verdict
					case <-ctx.Done():
						return Admission{}, context.Cause(ctx)
					}
				}
				strangers := w.knock(3, maxJoined)
				expect(t, "undecided", w.undecided(), 3*maxJoined)
				expect(t, "listed", w.listed(), "")
				expect(t, "emit", w.apply(Emit{To: in("/stranger-0-0"), Event: "x"}), 0)
				a, _ := w.connect("/a")
				b, _ := w.connect("/b")
				expect(t, "listed", w.listed(), "/a 1, /b 1")

				if tt.end != nil {
					tt.end(strangers)
				} else {
					close(decided)
					time.Sleep(o.ConnectTimeout) // for as long as they are asked about again
				}
				synctest.Wait()
				expect(t, "undecided in the end", w.undecided(), 0)
				expect(t, "listed in the end", w.listed(), "/a 1, /b 1")
				a.Close()
				b.Close()
				closeAll(strangers)
			})
		})
	}
}

func closeAll(all []*wiretest.WS) {
	for _, c := range all {
		c.Close()
	}
}

// leaveAll has those that knocked give up, and stay connected.
func leaveAll(all []*wiretest.WS) {
	for i, c := range all {
		for j := range maxJoined {
			c.Say(fmt.Sprintf("41/stranger-%d-%d,", i, j))
		}
	}
}

// TestUndecidedAreOne: those who ask for a namespace at the same time are in one, and a watch
// is told of both. Who is let in when there are too many by then is told to come back, and the
// backend hears of its end.
func TestUndecidedAreOne(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"*"}, MaxChildren: 1}, func(w *world) {
		decided := make(chan struct{})
		w.backend.decide = func(context.Context, *Socket) (Admission, error) {
			<-decided
			return Admission{}, nil
		}
		watch, err := w.Watch(context.Background(), WatchRequest{To: in("*"), Connections: true})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Stop()
		clients := map[string]*wiretest.WS{}
		for _, name := range []string{"/one 1", "/one 2", "/two"} {
			c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
			c.Next()
			namespace, _, _ := strings.Cut(name, " ")
			c.Say("40" + namespace + ",")
			clients[name] = c
		}
		synctest.Wait()
		expect(t, "undecided", w.undecided(), 2)
		w.clearHeard()
		close(decided)
		synctest.Wait()
		there, away := []string{"/one 1", "/one 2"}, []string{"/two"}
		if w.listed() != "/one 2" { // the other was first
			there, away = away, there
		}
		expect(t, "listed", w.listed(), fmt.Sprint(strings.Fields(there[0])[0], " ", len(there)))
		for _, name := range there {
			expect(t, "answer", clients[name].Next()[:3], "40/")
		}
		for _, name := range away {
			clients[name].MustClose(1000, ReasonUnavailable)
		}
		expect(t, "undecided in the end", w.undecided(), 0)
		heard := strings.Join(w.backend.take(), "\n")
		expect(t, "connected", strings.Count(heard, "connected /")-strings.Count(heard, "disconnected /"), len(there))
		expect(t, "ended", strings.Count(heard, "disconnected "+strings.Fields(away[0])[0]+" "+ReasonUnavailable), len(away))
		added := 0
		for _, e := range watch.Next() {
			if e.Kind == WatchAdded {
				added++
			}
		}
		expect(t, "told to the watch", added, len(there))
		for _, c := range clients {
			c.Close()
		}
	})
}
