package sio

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// A target whose namespace is a pattern means those that match and are there.
func TestSpanning(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/chat", "/tenant-*", "/*/live"}}, func(w *world) {
		c, root := w.connect("")
		w.apply(Join{To: Target{Namespace: "/", Selector: room.Selector{IDs: []string{root}}}, Rooms: []string{"r"}})
		ids := map[string]string{"/": root}
		for _, namespace := range []string{"/chat", "/tenant-1", "/tenant-2", "/a/live"} {
			ids[namespace] = c.Join(namespace)
		}
		for _, tt := range []struct {
			namespace string
			want      string
		}{
			{"*", "/ /a/live /chat /tenant-1 /tenant-2"},
			{"/*", "/chat /tenant-1 /tenant-2"},
			{"/tenant-*", "/tenant-1 /tenant-2"},
			{"/tenant-2*", ""},
			{"/*/*", "/a/live"},
		} {
			to := in(tt.namespace)
			want := strings.Fields(tt.want)
			expect(t, "emit to "+tt.namespace, w.apply(Emit{To: to, Event: "x"}), len(want))
			for _, namespace := range want {
				prefix := namespace + ","
				if namespace == "/" {
					prefix = ""
				}
				expect(t, "event", c.Next(), "42"+prefix+`["x"]`)
			}
			page, err := w.Connections(context.Background(), to, "", 100)
			var listed []string
			for _, v := range page.Connections {
				listed = append(listed, v.Namespace)
				expect(t, "id", v.ID, ids[v.Namespace])
			}
			expect(t, "list of "+tt.namespace, strings.Join(listed, " ")+page.Next, tt.want)
			expect(t, "error", err, nil)
			counts, err := w.Count(context.Background(), to, GroupNamespace)
			expect(t, "count of "+tt.namespace, fmt.Sprint(counts.Total, len(counts.Groups)), fmt.Sprint(len(want), len(want)))
			expect(t, "error", err, nil)
		}
		every := func(s room.Selector) Target { return Target{Namespace: "*", Selector: s} }
		expect(t, "join", w.apply(Join{To: every(room.Selector{IDs: []string{ids["/chat"], ids["/tenant-1"]}}), Rooms: []string{"r"}}), 2)
		expect(t, "emit to the room", w.apply(Emit{To: every(room.Selector{Rooms: []string{"r"}}), Event: "y"}), 3)
		for _, want := range []string{`42["y"]`, `42/chat,["y"]`, `42/tenant-1,["y"]`} {
			expect(t, "event", c.Next(), want)
		}
		expect(t, "update", w.apply(UpdateAll{To: every(room.Selector{Rooms: []string{"r"}}), Changes: Changes{Data: map[string]any{"a": 1}}}), 3)
		expect(t, "leave", w.apply(Leave{To: in("/tenant-*"), Rooms: []string{"r"}}), 2)
		expect(t, "emit to the room", w.apply(Emit{To: every(room.Selector{Rooms: []string{"r"}, Except: []string{ids["/chat"]}}), Event: "z"}), 1)
		expect(t, "event", c.Next(), `42["z"]`)
		for _, namespace := range []string{"/nowhere*", "nowhere*", "/**", "/[a]*"} {
			_, err := w.Apply(context.Background(), Emit{To: in(namespace), Event: "x"})
			expect(t, "emit to "+namespace, err, ErrUnknownNamespace)
			_, err = w.Connections(context.Background(), in(namespace), "", 1)
			expect(t, "list of "+namespace, err, ErrUnknownNamespace)
			_, err = w.Count(context.Background(), in(namespace), GroupNone)
			expect(t, "count of "+namespace, err, ErrUnknownNamespace)
			_, err = w.EmitWithAck(context.Background(), AckRequest{Emit: Emit{To: in(namespace), Event: "x"}, Timeout: time.Second}, nil)
			expect(t, "ask "+namespace, err, ErrUnknownNamespace)
		}
		_, err := w.Apply(context.Background(), Update{Namespace: "*", ID: root})
		expect(t, "update of one", err, ErrUnknownNamespace)
		_, err = w.Connection(context.Background(), "*", root)
		expect(t, "one", err, ErrUnknownNamespace)
		expect(t, "disconnect", w.apply(Disconnect{To: in("/*")}), 3)
		for range 3 {
			if told := c.Next(); !strings.HasPrefix(told, "41/") {
				t.Errorf("got %q", told)
			}
		}
		expect(t, "left", w.listed(), "/ 1, /a/live 1, /chat 0")
		c.Close()
	})
}

// What one namespace refuses, others do all the same.
func TestSpanningFailures(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/a", "/b"}, MaxRooms: 3}, func(w *world) {
		a, id := w.connect("/a")
		w.apply(Join{To: Target{Namespace: "/a", Selector: room.Selector{IDs: []string{id}}}, Rooms: []string{"1", "2"}})
		_, err := w.Apply(context.Background(), Join{To: in("*"), Rooms: []string{"3"}})
		expect(t, "nothing was done", err, ErrTooManyRooms)
		b := a.Join("/b")
		result, err := w.Apply(context.Background(), Join{To: in("*"), Rooms: []string{"3"}})
		expect(t, "error", err, nil)
		expect(t, "joined", fmt.Sprint(result.Matched, result.Partial), "1 true")
		v, _ := w.Connection(context.Background(), "/b", b)
		expect(t, "rooms", len(v.Rooms), 2)
		a.Close()
	})
}

func TestSpanningAcks(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/a", "/b", "/c"}}, func(w *world) {
		c, _ := w.connect("/a")
		a2, _ := w.connect("/a")
		b := c.Join("/b")
		placed := 0
		ask := func(o AckRequest) *asking {
			o.Emit = Emit{To: in("/*"), Event: "q"}
			o.Placed = func() { placed++ }
			o.Sent = func(s AckSummary) { expect(t, "sent", s.Expected, 3) }
			return w.ask(context.Background(), o)
		}
		id := func(packet string) string { // what is between the namespace and the arguments
			_, rest, _ := strings.Cut(packet, ",")
			id, _, _ := strings.Cut(rest, "[")
			return id
		}
		q := ask(AckRequest{Timeout: time.Second})
		first, second := c.Next(), c.Next()
		a2.Next()
		c.Say("43/a," + id(first) + `["from a"]`)
		c.Say("43/b," + id(second) + `["from b"]`)
		got := q.outcomes()
		expect(t, "answers", len(got), 2)
		expect(t, "the one of /b", slices.ContainsFunc(got, func(s string) bool { return s == answered(b, `["from b"]`, "[]") }), true)
		w.ended(q, AckSummary{Expected: 3, Answered: 2, TimedOut: 1})

		q = ask(AckRequest{Timeout: time.Minute, MaxAcks: 1})
		first, _, _ = c.Next(), c.Next(), a2.Next()
		c.Say("43/a," + id(first) + `["from a"]`)
		w.ended(q, AckSummary{Expected: 3, Answered: 1})

		q = ask(AckRequest{Timeout: time.Hour})
		a2.Close()
		c.Close()
		w.ended(q, AckSummary{Expected: 3, Disconnected: 3})
		expect(t, "placed", placed, 3)

		ctx, cancel := context.WithCancel(context.Background())
		c, _ = w.connect("/a")
		c.Join("/b")
		q = w.ask(ctx, AckRequest{Emit: Emit{To: in("*"), Event: "q"}, Timeout: time.Hour})
		cancel()
		<-q.done
		expect(t, "canceled", errors.Is(q.err, context.Canceled), true)
		w.nothingAwaited()
		q = w.ask(context.Background(), AckRequest{Emit: Emit{To: in("/c*"), Event: "q"}, Timeout: time.Hour})
		expect(t, "a pattern that nothing can match", q.err, ErrUnknownNamespace)
		c.Close()
	})
}

// Pages over namespaces list whoever stays once, while connections come and go.
// The caller that gives up is told so, also when that has ended the waiting in each namespace
// before it looks.
func TestSpanningAcksCanceled(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/a", "/b"}}, func(w *world) {
		c, _ := w.connect("/a")
		c.Join("/b")
		why := errors.New("why")
		for range 100 {
			ctx, cancel := context.WithCancelCause(context.Background())
			ask := w.ask(ctx, AckRequest{Emit: Emit{To: in("/*"), Event: "q"}, Timeout: time.Minute})
			c.Next()
			c.Next()
			cancel(why)
			<-ask.done
			expect(t, "error", ask.err, why)
		}
		w.nothingAwaited()
		c.Close()
	})
}

func TestSpanningPages(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/n-*"}}, func(w *world) {
		r := rand.New(rand.NewPCG(1, 1))
		stay := map[string]bool{}
		for i := range 40 {
			c, id := w.connect(fmt.Sprintf("/n-%d", r.IntN(12)))
			if i%2 == 0 {
				stay[id] = true
			}
			defer c.Close()
		}
		for _, limit := range []int{1, 3, 7, 100} {
			seen, cursor, pages := map[string]int{}, "", 0
			for {
				page, err := w.Connections(context.Background(), in("/n-*"), cursor, limit)
				if err != nil || len(page.Connections) > limit {
					t.Fatalf("%d connections, %v", len(page.Connections), err)
				}
				pages++
				for _, v := range page.Connections {
					seen[v.ID]++
					if r.IntN(4) == 0 && page.Next != "" { // whatever one is cut off behind
						page.Next = v.Cursor
						break
					}
				}
				if page.Next == "" {
					break
				}
				cursor = page.Next
				d, _ := w.connect(fmt.Sprintf("/n-%d", r.IntN(12)))
				d.Close()
				synctest.Wait()
			}
			for id := range stay {
				if seen[id] != 1 {
					t.Errorf("with pages of %d one that stayed is listed %d times", limit, seen[id])
				}
			}
			if pages > 300 {
				t.Errorf("%d pages of %d", pages, limit)
			}
		}
		for _, cursor := range []string{"x", "x./n-1", w.run + ".zz", w.run + ".!./n-1"} {
			_, err := w.Connections(context.Background(), in("/n-*"), cursor, 1)
			expect(t, "the cursor "+cursor, err, ErrBadCursor)
		}
	})
}
