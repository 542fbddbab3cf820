package sio

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// keyed is an event with a key; its argument is what it is told apart by.
func keyed(key string, n int) Emit {
	return Emit{To: everybody, Event: "at", Args: fmt.Appendf(nil, "[%q,%d]", key, n), ConflateKey: key}
}

// A client falls behind: of the events of one key that wait for it, it gets the last, where
// that came; all others it gets. One that keeps up gets every event.
func TestConflate(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		slow, id := w.connect("")
		fast, _ := w.connect("")
		synctest.Wait()
		w.apply(Emit{To: everybody, Event: "first"}) // is being written from now on
		expect(t, "first", fast.Next(), `42["first"]`)
		synctest.Wait()
		for _, o := range []Emit{keyed("a", 1), keyed("b", 1), event("plain", "[1]"), keyed("a", 2), event("plain", "[2]"), keyed("b", 2), keyed("a", 3)} {
			if got := w.apply(o); got != 2 {
				t.Errorf("matched %d, want both", got)
			}
			expect(t, "for who keeps up", fast.Next(), `42["`+o.Event+`",`+string(o.Args)[1:])
			synctest.Wait()
		}
		expect(t, "waiting", w.view(id).QueuedBytes, len(`42["plain",1]42["plain",2]42["at","b",2]42["at","a",3]`)+4*2)
		expect(t, "counted", w.Stats().Engine.Conflated, 3)
		for _, want := range []string{`["first"]`, `["plain",1]`, `["plain",2]`, `["at","b",2]`, `["at","a",3]`} {
			expect(t, "for who does not", slow.Next(), "42"+want)
		}
		w.apply(keyed("a", 4))
		expect(t, "afterwards", slow.Next(), `42["at","a",4]`)
		slow.Close()
		fast.Close()
	})
}

// A key is that of a namespace and a connection, whatever the event and its target. What
// awaits an answer, and what is volatile, has none.
func TestConflateScope(t *testing.T) {
	inBubble(t, Options{Namespaces: []string{"/", "/n"}}, func(w *world) {
		c, id := w.connect("")
		c.Join("/n")
		synctest.Wait()
		w.apply(Emit{To: everybody, Event: "first"})
		synctest.Wait()
		in := func(namespace string, n int) Emit {
			o := keyed("k", n)
			o.To.Namespace = namespace
			return o
		}
		w.apply(in("/n", 1))
		w.apply(Emit{To: everybody, Event: "another", ConflateKey: "k"})
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go w.EmitWithAck(ctx, AckRequest{Emit: in("/", 2), Timeout: time.Hour}, func(AckResult) bool { return true })
		synctest.Wait()
		w.apply(Emit{To: to(room.Selector{IDs: []string{id}}), Event: "mine", ConflateKey: "k"})
		expect(t, "a volatile event", w.apply(Emit{To: everybody, Event: "volatile", ConflateKey: "k", Volatile: true}), 0)
		for _, want := range []string{`42["first"]`, `42/n,["at","k",1]`, `421["at","k",2]`, `42["mine"]`} {
			expect(t, "event", c.Next(), want)
		}
		c.Close()
	})
}

// An event with attachments is replaced as a whole and replaces as a whole, in either
// encoding.
func TestConflateAttachments(t *testing.T) {
	binary := func(n int, attachments ...string) Emit {
		o := keyed("k", n)
		o.Args = fmt.Appendf(nil, `[%d`, n)
		for i, a := range attachments {
			o.Args = fmt.Appendf(o.Args, `,{"_placeholder":true,"num":%d}`, i)
			o.Attachments = append(o.Attachments, []byte(a))
		}
		o.Args = append(o.Args, ']')
		return o
	}
	inBubble(t, Options{}, func(w *world) {
		text, _ := w.connect("")
		packed, _ := w.connectPacked("")
		synctest.Wait()
		w.apply(Emit{To: everybody, Event: "first"})
		synctest.Wait()
		w.apply(binary(1, "a", "b"))
		w.apply(event("between", "[]"))
		w.apply(binary(2))
		w.apply(binary(3, "c"))
		expect(t, "counted", w.Stats().Engine.Conflated, 4)
		expect(t, "first", text.Next(), `42["first"]`)
		expect(t, "between", text.Next(), `42["between"]`)
		expect(t, "the last", text.Next(), `451-["at",3,{"_placeholder":true,"num":0}]`)
		expect(t, "its attachment", text.Next(), "binary:c")
		expect(t, "first", packed.next(), `2["first"]`)
		expect(t, "between", packed.next(), `2["between"]`)
		if last := packed.next(); !strings.Contains(last, "3") {
			t.Errorf("the last is %s", last)
		}
		text.Close()
		packed.Close()
	})
}

// Between two of its polls a client is sent the last of each key only.
func TestConflatePolling(t *testing.T) {
	s := newPolledServer(t)
	path := joinByPolling(t, s)
	apply := func(o Emit) {
		if _, err := s.Apply(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
	for n := range 100 {
		apply(keyed("a", n))
		apply(keyed("b", n))
	}
	expect(t, "a poll", serve(t, s, http.MethodGet, path, ""), `42["at","a",99]`+"\x1e"+`42["at","b",99]`)
	apply(keyed("b", 100))
	expect(t, "the next", serve(t, s, http.MethodGet, path, ""), `42["at","b",100]`)
	serve(t, s, http.MethodPost, path, "1")
}

// However many events of a few keys come, what waits for a client stays within the bound, and
// it is not closed. Without keys it is.
func TestConflateBound(t *testing.T) {
	for key, closed := range map[string]uint64{"k": 0, "": 1} {
		inBubble(t, Options{Engine: engineio.Options{MaxQueue: 4096}}, func(w *world) {
			c, _ := w.connect("")
			synctest.Wait()
			w.apply(Emit{To: everybody, Event: "first"})
			synctest.Wait()
			for n := range 1000 {
				o := keyed(key, n)
				if key != "" {
					o.ConflateKey = fmt.Sprint(n % 3)
				}
				w.apply(o)
			}
			synctest.Wait()
			expect(t, "closed", w.Stats().Engine.Slow, closed)
			c.Close()
		})
	}
}

// What a client missed while it was away comes without what was replaced meanwhile; what it
// never got, since it was replaced before, is not missed.
func TestConflateRecovery(t *testing.T) {
	inBubble(t, recovering, func(w *world) {
		c := w.returner("")
		synctest.Wait()
		w.apply(keyed("a", 1))
		c.next()
		w.apply(Emit{To: everybody, Event: "second"}) // is being written from now on
		synctest.Wait()
		w.apply(keyed("a", 2))
		w.apply(keyed("a", 3))
		c.next()
		c.next()
		if want := []string{"at a 1", "second", "at a 3"}; !slices.Equal(c.heard, want) {
			t.Errorf("heard %q, want %q", c.heard, want)
		}
		c.cut()
		w.apply(keyed("a", 4))
		w.apply(keyed("b", 1))
		w.apply(event("plain", "[1]"))
		w.apply(keyed("a", 5))
		w.apply(event("plain", "[2]"))
		c.back(true, "at b 1", "plain 1", "at a 5", "plain 2")
		c.cut()
		c.back(true)
		w.apply(keyed("a", 6))
		expect(t, "afterwards", c.next(), "at a 6")
		c.Close()
	})
}

// Replacing an event allocates nothing for a recipient. (TestFanOutAllocatesNothing is about
// those whose queues are empty.)
func TestConflateAllocatesNothing(t *testing.T) {
	allocs := func(members int) float64 {
		s := newPolledServer(t)
		for range members {
			joinByPolling(t, s)
		}
		return testing.AllocsPerRun(20, func() { // the first waits; each of the next replaces the one before
			if _, err := s.Apply(t.Context(), keyed("k", 1)); err != nil {
				t.Error(err)
			}
		})
	}
	if few, many := allocs(10), allocs(210); many-few > 20 {
		t.Errorf("%v allocations for 10 recipients, %v for 210", few, many)
	}
}
