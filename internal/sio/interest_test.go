package sio

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// interestCounts is an Interest that counts.
type interestCounts struct {
	mu     sync.Mutex
	counts map[string]int
}

func (i *interestCounts) Changed(kind room.Kind, namespace, name string, there bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := fmt.Sprintf("%d %s %s", kind, namespace, name)
	if there {
		i.counts[key]++
	} else if i.counts[key]--; i.counts[key] == 0 {
		delete(i.counts, key)
	}
}

// of returns how often a set was told of as there, and not as gone.
func (i *interestCounts) of(kind room.Kind, namespace, name string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.counts[fmt.Sprintf("%d %s %s", kind, namespace, name)]
}

// TestInterest: sets are told of with their first member and as gone with their last,
// those of connections that may come back included.
func TestInterest(t *testing.T) {
	counts := &interestCounts{counts: map[string]int{}}
	opts := recovering
	opts.Interest = counts
	inBubble(t, opts, func(w *world) {
		w.backend.admit = Admission{User: "u", Rooms: []string{"granted"}}
		a := w.returner("")
		_, b := w.connect("")
		synctest.Wait()
		expect(t, "the namespace", counts.of(room.KindAll, "/", ""), 1)
		expect(t, "the user", counts.of(room.KindUser, "/", "u"), 1)
		expect(t, "the granted room", counts.of(room.KindRoom, "/", "granted"), 1)
		w.apply(Join{To: everybody, Rooms: []string{"r"}})
		expect(t, "a room that two are in", counts.of(room.KindRoom, "/", "r"), 1)
		w.apply(Leave{To: to(room.Selector{IDs: []string{b}}), Rooms: []string{"r"}})
		expect(t, "a room that one is in", counts.of(room.KindRoom, "/", "r"), 1)

		a.cut() // it may come back: what it was in stays
		synctest.Wait()
		expect(t, "a room of somebody who may come back", counts.of(room.KindRoom, "/", "r"), 1)
		expect(t, "a user here and away", counts.of(room.KindUser, "/", "u"), 2)
		a.connect()
		expect(t, "a came back", a.recovered, true)
		expect(t, "a room of somebody who came back", counts.of(room.KindRoom, "/", "r"), 1)
		expect(t, "the user, all back", counts.of(room.KindUser, "/", "u"), 1)

		w.apply(Disconnect{To: everybody})
		time.Sleep(2 * time.Minute) // past the recovery window
		synctest.Wait()
		counts.mu.Lock()
		defer counts.mu.Unlock()
		expect(t, "what is left when all are gone", fmt.Sprint(counts.counts), "map[]")
	})
}

// TestInterestInChildren: namespaces of a pattern are told of as any other.
func TestInterestInChildren(t *testing.T) {
	counts := &interestCounts{counts: map[string]int{}}
	inBubble(t, Options{Namespaces: []string{"/n-*"}, Interest: counts}, func(w *world) {
		ws, _ := w.connect("/n-1")
		expect(t, "the child", counts.of(room.KindAll, "/n-1", ""), 1)
		ws.Close()
		synctest.Wait()
		counts.mu.Lock()
		defer counts.mu.Unlock()
		for key := range counts.counts {
			t.Errorf("left: %s", strings.TrimSpace(key))
		}
	})
}
