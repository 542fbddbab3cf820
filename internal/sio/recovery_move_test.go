package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// other is the one other server that there is.
type other struct {
	*Server
	asked   int
	claimed func(context.Context) error // may be nil
	settle  func() error                // may be nil
	taken   func()                      // may be nil
	arrived func(context.Context) error // may be nil
}

func (o *other) Claim(ctx context.Context, namespace, pid, offset string) (OfflineSession, error) {
	o.asked++
	s, err := o.ClaimOffline(ctx, namespace, pid, offset)
	if err == nil && o.claimed != nil {
		err = o.claimed(ctx)
	}
	return s, err
}

func (o *other) Settle(context.Context, *OfflineSession) error {
	if o.settle == nil {
		return nil
	}
	return o.settle()
}

func (o *other) Take(_ context.Context, s *OfflineSession, offset string, have []Origin) (Missed, error) {
	m, err := o.TakeOffline(s.Namespace, s.PID, offset, s.Claim, have)
	if o.taken != nil {
		o.taken()
	}
	return m, err
}

func (o *other) Arrived(ctx context.Context) error {
	if o.arrived == nil {
		return nil
	}
	return o.arrived(ctx)
}

func (o *other) Release(s *OfflineSession) { o.ReleaseOffline(s.Namespace, s.PID, s.Claim) }

func (o *other) ClaimAll(_ context.Context, _, namespace string) ([]OfflineSession, error) {
	return o.Server.ClaimAll(namespace), nil
}

func (o *other) TakeAll(_ context.Context, _, namespace string, claims []OfflineSession, have []Origin) (Handover, error) {
	h := o.Server.TakeAll(namespace, claims, have)
	if o.taken != nil {
		o.taken()
	}
	return h, nil
}

// serverOf returns a server that its Others are not those of.
func serverOf(t *testing.T, epoch string, others Others) *world {
	t.Helper()
	backend := &recorder{block: make(chan struct{}), admit: Admission{Rooms: []string{"r"}}, numbers: true}
	s, err := NewServer(Options{
		Engine: engineio.Options{Epoch: epoch, Logger: slog.New(slog.DiscardHandler)}, Backend: backend, RecoveryWindow: time.Minute, Others: others,
		Namespaces: []string{"/", "/made-*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Server: s, t: t, backend: backend, listener: wiretest.Listen()}
	hs := &http.Server{Handler: s}
	go hs.Serve(w.listener)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		hs.Close()
	})
	return w
}

// sentBy has an event sent that another server has sent first.
func (w *world) sentBy(number uint64, name string) {
	w.t.Helper()
	w.apply(Emit{To: to(room.Selector{Rooms: []string{"r"}}), Event: name, Origin: Origin{"third", number}})
}

// TestMove: a client that comes back to another server is what it was, and is sent what
// either server was sent for it: once, whichever of them was sent it first.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		there := &other{Server: a.Server}
		b := serverOf(t, "bbbbb", there)
		r := a.returner("")
		a.sentBy(1, "1")
		r.next()
		a.backend.take()
		r.cut()
		a.sentBy(2, "2")
		there.settle = func() error { // now b keeps the connection too
			b.sentBy(1, "1") // the client has it
			b.sentBy(2, "2")
			a.sentBy(3, "3")
			return nil
		}
		there.taken = func() {
			b.sentBy(3, "3")
			b.sentBy(4, "4")
		}
		r.w = b
		r.back(true, "2", "3", "4")
		synctest.Wait()
		expect(t, "left at the first", a.Offline(), 0)
		expect(t, "heard at the first", fmt.Sprint(a.backend.take()), "[3 disconnected / transport close]")
		expect(t, "heard at the other", fmt.Sprint(b.backend.take()), fmt.Sprintf(`[4 connecting / {"offset":"aaaaa1","pid":%q,"token":"t"} 5 connected /]`, r.pid))

		// It has not read all that it was sent, and comes back once more.
		r.cut()
		b.sentBy(5, "5")
		r.back(true, "5")
		r.Close()
	})
}

// TestMoveOfWhoLeavesAgain: a client that goes while its connection is moved finds it
// where it is then, with what it has missed.
func TestMoveOfWhoLeavesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		b := serverOf(t, "bbbbb", &other{Server: a.Server})
		r := a.returner("")
		a.sentBy(1, "1")
		r.next()
		r.cut()
		a.sentBy(2, "2")
		a.sentBy(3, "3")
		b.backend.decide = func(ctx context.Context, _ *Socket) (Admission, error) {
			<-ctx.Done() // nobody decides before it is gone
			return Admission{}, ctx.Err()
		}
		ws := b.listener.MustDialWS(t, "EIO=4&transport=websocket")
		ws.Next()
		ws.Say(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, r.pid, r.offset))
		synctest.Wait()
		ws.Close()
		synctest.Wait()
		b.backend.decide = nil
		expect(t, "kept by the first", a.Offline(), 0)
		expect(t, "kept by the other", b.Offline(), 1)
		b.sentBy(4, "4")
		// And to a third, which it is moved to with both parts of what it missed.
		c := serverOf(t, "ccccc", &other{Server: b.Server})
		c.sentBy(4, "4")
		r.w = c
		r.back(true, "2", "3", "4")
		r.Close()
	})
}

// TestMoveFails: what cannot be moved stays, and comes back to where it was.
func TestMoveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		there := &other{Server: a.Server, settle: func() error { return errors.New("no") }}
		b := serverOf(t, "bbbbb", there)
		r := a.returner("")
		a.sentBy(1, "1")
		r.next()
		r.cut()
		a.sentBy(2, "2")
		pid, offset, id := r.pid, r.offset, r.id
		r.w = b
		r.back(false)
		r.cut()
		expect(t, "kept by the other", b.Offline(), 1) // as somebody new
		r.w, r.pid, r.offset, r.id = a, pid, offset, id
		r.back(true, "2")
		r.Close()
	})
}

// TestClaimEnds: what another server claimed and did not take can be claimed again after a
// while, and what the other says late is refused.
func TestClaimEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := serverOf(t, "aaaaa", nil)
		r := a.returner("")
		r.cut()
		first, err := a.ClaimOffline(t.Context(), "/", r.pid, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.ClaimOffline(t.Context(), "/", r.pid, ""); !errors.Is(err, ErrBusy) {
			t.Errorf("claimed twice: %v", err)
		}
		time.Sleep(claimTime)
		synctest.Wait()
		second, err := a.ClaimOffline(t.Context(), "/", r.pid, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.TakeOffline("/", r.pid, "", first.Claim, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("taken by the first: %v", err)
		}
		a.ReleaseOffline("/", r.pid, first.Claim)
		if _, err := a.TakeOffline("/", r.pid, "", second.Claim, nil); err != nil {
			t.Errorf("taken by the second: %v", err)
		}
		expect(t, "left", a.Offline(), 0)
		for _, namespace := range []string{"/", "/none"} {
			if _, err := a.ClaimOffline(t.Context(), namespace, r.pid, ""); !errors.Is(err, ErrNotFound) {
				t.Errorf("claimed in %s: %v", namespace, err)
			}
		}
	})
}

// TestReturnAfterMove: a client that was moved comes back as what it was if it has read
// what it missed at the other server. Else it is somebody new: what it says that it has
// does not say what of that it lacks.
func TestReturnAfterMove(t *testing.T) {
	for name, test := range map[string]struct {
		first  bool // it has heard an event before it was cut off
		offset func(there, here string) string
	}{
		"it has none":                       {offset: func(string, string) string { return "" }},
		"it has the last before the cut":    {first: true, offset: func(there, _ string) string { return there }},
		"it has one that came here at once": {first: true, offset: func(_, here string) string { return here }},
		"it has all of that":                {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := serverOf(t, "aaaaa", nil)
				there := &other{Server: a.Server}
				b := serverOf(t, "bbbbb", there)
				r := a.returner("")
				if test.first {
					a.sentBy(1, "1")
					r.next()
				}
				r.cut()
				a.sentBy(2, "2")
				first := r.offset
				there.settle = func() error {
					b.sentBy(3, "3")
					b.sentBy(2, "2")
					b.sentBy(4, "4")
					return nil
				}
				r.w = b
				r.back(true, "2", "3", "4")
				b.sentBy(5, "5") // which it does not read
				r.cut()
				if test.offset == nil {
					r.back(true, "5")
				} else {
					r.offset = test.offset(first, formatOffset("bbbbb", 1))
					r.back(false)
				}
				r.Close()
			})
		})
	}
}

// TestMoveOfWhoLeavesMeanwhile: a client that goes when its connection is claimed, or has
// left the one server and is not quite at the other, does not lose it.
func TestMoveOfWhoLeavesMeanwhile(t *testing.T) {
	for _, late := range []string{"claimed", "arrived"} {
		t.Run(late, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := serverOf(t, "aaaaa", nil)
				there := &other{Server: a.Server}
				b := serverOf(t, "bbbbb", there)
				r := a.returner("")
				a.sentBy(1, "1")
				r.next()
				r.cut()
				a.sentBy(2, "2")
				slow := func(ctx context.Context) error {
					select {
					case <-time.After(time.Second):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				if late == "claimed" {
					there.claimed = slow
				} else {
					there.arrived = slow
				}
				ws := b.listener.MustDialWS(t, "EIO=4&transport=websocket")
				ws.Next()
				ws.Say(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, r.pid, r.offset))
				synctest.Wait()
				ws.Close()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				expect(t, "kept by the other", b.Offline(), 1)
				r.w = b
				r.back(true, "2")
				r.Close()
			})
		})
	}
}

// TestMoveOfNobody: other servers are asked for what may be a pid, and for nothing else.
func TestMoveOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := &other{Server: serverOf(t, "aaaaa", nil).Server}
		r := serverOf(t, "bbbbb", there).returner("")
		long := strings.Repeat("x", 1000)
		for i, said := range [][2]string{{long, ""}, {"x", long}, {"x", "x"}} {
			r.cut()
			r.pid, r.offset = said[0], said[1]
			r.back(false)
			expect(t, "asked for", there.asked, i/2)
		}
		r.Close()
	})
}
