package sio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// TestHandover: connections that were cut off are handed over, and once more; whatever
// their clients say that they have, they come back as what they were, and are sent the
// rest.
func TestHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		fromA := &other{Server: a.Server}
		b := serverOf(t, "bbbbb", fromA)
		c := serverOf(t, "ccccc", &other{Server: b.Server})
		clients := map[string]*returner{}
		for _, name := range []string{"heard all", "heard the first", "heard nothing", "changed rooms"} {
			clients[name] = a.returner("")
		}
		a.sentBy(1, "1")
		for _, name := range []string{"heard all", "heard the first", "changed rooms"} {
			clients[name].next()
		}
		a.apply(Join{To: to(room.Selector{IDs: []string{clients["changed rooms"].id}}), Rooms: []string{"more"}})
		a.sentBy(2, "2")
		clients["heard all"].next()
		clients["changed rooms"].next()
		for _, r := range clients {
			r.cut()
		}
		a.sentBy(3, "3")
		fromA.settle = func() error {
			b.sentBy(2, "2") // late: they have it, or will be sent it
			b.sentBy(3, "3")
			a.sentBy(4, "4")
			return nil
		}
		fromA.taken = func() {
			b.sentBy(4, "4")
			b.sentBy(5, "5")
		}
		n, err := b.TakeOver(t.Context(), "aaaaa", "/")
		if n != len(clients) || err != nil {
			t.Fatalf("%d were taken over, %v", n, err)
		}
		expect(t, "left at the first", a.Offline(), 0)
		expect(t, "kept by the second", b.Offline(), len(clients))

		r := clients["heard all"]
		r.w = b
		r.back(true, "3", "4", "5")
		r.Close()
		synctest.Wait()

		b.sentBy(6, "6")
		n, err = c.TakeOver(t.Context(), "bbbbb", "/")
		if n != len(clients) || err != nil {
			t.Fatalf("%d were taken over in the end, %v", n, err)
		}
		for name, missed := range map[string]string{"heard all": "6", "heard the first": "2 3 4 5 6", "heard nothing": "1 2 3 4 5 6", "changed rooms": "3 4 5 6"} {
			r := clients[name]
			r.w = c
			r.back(true, strings.Fields(missed)...)
			r.Close()
		}
	})
}

// TestHandoverForgets: what one connection takes along is bounded; a client that has less
// than that is somebody new.
func TestHandoverForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		b := serverOf(t, "bbbbb", &other{Server: a.Server})
		quiet, r := a.returner(""), a.returner("")
		a.sentBy(1, "1")
		r.next()
		quiet.cut()
		r.cut()
		big := strings.Repeat("x", sessionBytes/4)
		for i := range 5 {
			a.apply(Emit{To: to(room.Selector{Rooms: []string{"r"}}), Event: fmt.Sprint("big ", i), Args: []byte(`["` + big + `"]`), Origin: Origin{"third", uint64(10 + i)}})
		}
		if n, err := b.TakeOver(t.Context(), "aaaaa", "/"); n != 2 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		for _, r := range []*returner{quiet, r} {
			r.w = b
			r.back(false)
			r.Close()
		}
	})
}

// TestHandoverFails: what was not taken over stays, and can be taken by another.
func TestHandoverFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		there := &other{Server: a.Server, settle: func() error { return errors.New("no") }}
		b := serverOf(t, "bbbbb", there)
		r := a.returner("")
		r.cut()
		if n, err := b.TakeOver(t.Context(), "aaaaa", "/"); n != 0 || err == nil {
			t.Fatalf("%d were taken over, %v", n, err)
		}
		expect(t, "kept", a.Offline(), 1)
		expect(t, "kept by the other", b.Offline(), 0)
		there.settle = nil
		if err := b.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.TakeOver(t.Context(), "aaaaa", "/"); !errors.Is(err, ErrClosed) {
			t.Errorf("by one that ends: %v", err)
		}
		r.back(true)
		r.Close()
	})
}

// TestReturnWhileHandedOver: a client that comes back while its connection is on its way
// finds it.
func TestReturnWhileHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		there := &other{Server: a.Server, settle: func() error { time.Sleep(time.Second); return nil }}
		b := serverOf(t, "bbbbb", there)
		r := a.returner("")
		r.cut()
		a.sentBy(1, "1")
		taken := make(chan int)
		go func() {
			n, err := b.TakeOver(context.Background(), "aaaaa", "/")
			if err != nil {
				t.Error(err)
			}
			taken <- n
		}()
		synctest.Wait()
		r.w = b
		r.back(true, "1")
		if n := <-taken; n != 1 {
			t.Errorf("%d were taken over", n)
		}
		r.Close()
	})
}

// TestHandoverOfMadeNamespace: connections of a namespace that a pattern made are handed
// over to a server that has nobody in it.
func TestHandoverOfMadeNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		b := serverOf(t, "bbbbb", &other{Server: a.Server})
		r := a.returner("/made-1,")
		a.apply(Emit{To: Target{Namespace: "/made-1", Selector: room.Selector{Rooms: []string{"r"}}}, Event: "1"})
		r.next()
		r.cut()
		a.apply(Emit{To: Target{Namespace: "/made-1", Selector: room.Selector{Rooms: []string{"r"}}}, Event: "2"})
		if n, err := b.TakeOver(t.Context(), "aaaaa", "/made-1"); n != 1 || err != nil {
			t.Fatalf("%d were taken over, %v", n, err)
		}
		if n, err := b.TakeOver(t.Context(), "aaaaa", "/made-2"); n != 0 || err != nil {
			t.Errorf("of nobody: %d, %v", n, err)
		}
		expect(t, "namespaces at the other", fmt.Sprint(b.OfflineNamespaces()), "[/made-1]")
		if _, err := b.TakeOver(t.Context(), "aaaaa", "/none"); !errors.Is(err, ErrUnknownNamespace) {
			t.Errorf("of a namespace that is not served: %v", err)
		}
		r.w = b
		r.back(true, "2")
		r.Close()
	})
}

// TestHandoverOfWhatIsEvicted: where the log does not reach back to the cut, nobody comes
// back as what it was, since what it missed is not known.
func TestHandoverOfWhatIsEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		b := serverOf(t, "bbbbb", &other{Server: a.Server})
		r := a.returner("")
		a.sentBy(1, "1")
		r.next()
		r.cut()
		a.sentBy(2, "2")
		a.sentBy(3, "3")
		recovery := a.recoveryOf("/")
		recovery.nsp.mu.Lock()
		for range 2 {
			recovery.accountLocked(-recovery.log.removeOldest())
		}
		recovery.nsp.mu.Unlock()
		if _, err := b.TakeOver(t.Context(), "aaaaa", "/"); err != nil {
			t.Fatal(err)
		}
		r.w = b
		r.back(false)
		r.Close()
	})
}
