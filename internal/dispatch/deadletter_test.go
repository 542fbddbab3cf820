package dispatch

import (
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
