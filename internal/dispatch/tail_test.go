package dispatch

import (
	"strings"
	"testing"
	"testing/synctest"
)

// What waits for a watcher is bounded in bytes, too; an event that is larger by itself
// comes alone. Nothing is counted twice or kept.
func TestTailBytes(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, _ := w.connect("")
		synctest.Wait() // its start is not shown
		tail, err := w.Tail(TailFilter{})
		ok(t, err)
		say := func(name string, size int) {
			c.Say(`42["` + name + `","` + strings.Repeat("x", size) + `"]`)
			synctest.Wait()
		}
		took := func() (names []string) {
			for len(tail.events) > 0 {
				e := <-tail.events
				tail.Took(e)
				names = append(names, e.Name)
			}
			return names
		}
		for range 20 {
			say("large", 900_000)
		}
		if n := len(took()); n != 4 || tail.Dropped() != 16 {
			t.Errorf("%d of 20 came, %d were dropped; 4 fit into 4 MiB", n, tail.Dropped())
		}
		tail.offer(&Event{Kind: Message, Name: "huge", size: 5 << 20})
		tail.offer(&Event{Kind: Message, Name: "behind it", size: 1})
		say("after", 1)
		expect(t, "what came", strings.Join(took(), " "), "huge")
		expect(t, "bytes", tail.bytes.Load(), 0)
		c.Close()
	})
}
