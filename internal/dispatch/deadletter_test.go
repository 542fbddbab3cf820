package dispatch

import (
	"fmt"
	"testing"
)

// Beyond the bound the oldest dead letters go; a page goes on behind one that has gone.
func TestDeadLettersAreBounded(t *testing.T) {
	d := New(Options{DeadLetterBytes: 3000})
	for range 10 {
		d.deadLetters.add(DeadLetter{Group: "g", Event: &Event{Namespace: "/", size: 1000}})
	}
	page, more := d.DeadLetters(DeadLetterFilter{}, "", 2)
	expect(t, "letters", len(page), 2)
	expect(t, "more", more, true)
	expect(t, "the oldest that is left", page[0].number, 8)
	expect(t, "deleted", d.DeleteDeadLetters(DeadLetterFilter{IDs: []string{page[1].ID}}), 1)
	rest, more := d.DeadLetters(DeadLetterFilter{}, page[1].ID, 2)
	expect(t, "the rest", len(rest), 1)
	expect(t, "more", more, false)
	expect(t, "the newest", rest[0].number, 10)
	st := d.Stats()
	expect(t, "counted", st.DeadLetters, 10)
	expect(t, "forgotten", st.DeadLettersDropped, 7)
	expect(t, "bytes", d.deadLetters.bytes, 2000)
}

// IDs, which others may have chosen, name letters one by one, together with all else that
// the filter says.
func TestDeadLettersByID(t *testing.T) {
	d := New(Options{})
	var ids []string
	for i := range 6 {
		l := d.deadLetters.add(DeadLetter{Group: []string{"g", "h"}[i%2], Event: &Event{Namespace: "/", size: 1000}})
		ids = append(ids, l.ID)
	}
	numbers := func(f DeadLetterFilter, after string) (got []uint64) {
		page, more := d.DeadLetters(f, after, 10)
		expect(t, "more", more, false)
		for _, l := range page {
			got = append(got, l.number)
		}
		return got
	}
	named := DeadLetterFilter{Group: "g", IDs: []string{ids[4], ids[1], ids[0], ids[0], "another"}}
	expect(t, "of the group", fmt.Sprint(numbers(named, "")), "[1 5]")
	expect(t, "behind the first", fmt.Sprint(numbers(named, ids[0])), "[5]")
	expect(t, "behind one that another names", fmt.Sprint(numbers(named, ids[3])), "[5]")
	expect(t, "deleted", d.DeleteDeadLetters(named), 2)
	expect(t, "of all groups", fmt.Sprint(numbers(DeadLetterFilter{}, "")), "[2 3 4 6]")
	expect(t, "behind one that is gone", fmt.Sprint(numbers(DeadLetterFilter{}, ids[4])), "[6]")
	expect(t, "deleted by unknown IDs", d.DeleteDeadLetters(DeadLetterFilter{IDs: []string{"another"}}), 0)
}

// A large event is listed without its arguments, and delivered with them.
func TestLargeDeadLetters(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		for _, size := range []int{maxListedEvent, 10} {
			e := &Event{Kind: Message, Namespace: "/", ConnectionID: fmt.Sprint("c", size), Sequence: 1, Name: "e", Args: string(make([]byte, size))}
			e.measure()
			w.deadLetters.add(DeadLetter{Group: "g", Event: e})
		}
		page, more := w.DeadLetters(DeadLetterFilter{}, "", 10)
		expect(t, "letters", len(page), 1)
		expect(t, "more", more, true)
		expect(t, "arguments", len(page[0].Event.Args), 0)
		expect(t, "omitted", page[0].Omitted, maxListedEvent)
		page, more = w.DeadLetters(DeadLetterFilter{}, page[0].ID, 10)
		expect(t, "letters", len(page), 1)
		expect(t, "more", more, false)
		expect(t, "arguments", len(page[0].Event.Args), 10)
		expect(t, "omitted", page[0].Omitted, 0)
		w.replay(2)
		expect(t, "arguments of the replay", len(m.get(t).Args), maxListedEvent)
		expect(t, "arguments of the other", len(m.get(t).Args), 10)
	})
}

func BenchmarkDeadLettersByID(b *testing.B) {
	for _, letters := range []int{1000, 10_000} {
		d := New(Options{DeadLetterBytes: 1 << 30})
		f := DeadLetterFilter{Group: "g"}
		for i := range letters {
			l := d.deadLetters.add(DeadLetter{Group: "g", Event: &Event{Namespace: "/", size: 1000}})
			if i%(letters/1000) == 0 {
				f.IDs = append(f.IDs, l.ID)
			}
		}
		b.Run(fmt.Sprint(letters), func(b *testing.B) {
			for b.Loop() {
				d.DeadLetters(f, "", 1000)
			}
		})
	}
}
