package sio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// The backend hears once that a client cannot come back any more: when its time is up, to
// the second, however long events are kept, and by the next number of the connection.
func TestRecoveryExpiredIsTold(t *testing.T) {
	opts := recovering
	opts.Engine.PingInterval = time.Hour // clients of this test answer no ping
	inBubble(t, opts, func(w *world) {
		w.backend.numbers = true
		first, second := w.returner(""), w.returner("")
		w.emit(all, "x") // is kept for longer than the clients are
		first.next()
		second.next()
		w.backend.take()
		time.Sleep(2 * recovering.RecoveryWindow)
		first.cut()
		time.Sleep(time.Second)
		second.cut()
		second.back(true)
		synctest.Wait()
		w.backend.take()
		time.Sleep(recovering.RecoveryWindow - time.Second - time.Nanosecond)
		synctest.Wait()
		expect(t, "heard before the window was over", strings.Join(w.backend.take(), "; "), "")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		expect(t, "heard of the first", strings.Join(w.backend.take(), "; "), "4 expired / expired")
		time.Sleep(2 * recovering.RecoveryWindow)
		synctest.Wait()
		expect(t, "heard later", strings.Join(w.backend.take(), "; "), "")
		first.back(false)
		synctest.Wait() // it is counted once it has been answered
		expect(t, "counted", fmt.Sprint(w.counters.recoveries.All()), "map[expired:1 recovered:1]")
		first.Close()
		second.Close()
	})
}

// It hears that after it has heard of what came before: that the connection was cut off,
// and that a client wanted to come back as it.
func TestRecoveryExpiredComesLast(t *testing.T) {
	disconnect := func(w *world, r *returner) {
		w.apply(Disconnect{To: to(room.Selector{IDs: []string{r.id}})})
		synctest.Wait()
	}
	t.Run("after the end", func(t *testing.T) {
		inBubble(t, recovering, func(w *world) {
			r, other := w.returner(""), w.returner("")
			other.cut()
			end := make(chan struct{})
			w.backend.ended = func(*Socket, End) { <-end }
			w.backend.take()
			r.cut()
			disconnect(w, r)
			disconnect(w, other)
			expect(t, "heard meanwhile", strings.Join(w.backend.take(), "; "), "expired / changed") // of the other
			close(end)
			synctest.Wait()
			expect(t, "heard", strings.Join(w.backend.take(), "; "), "disconnected / transport close; expired / changed")
		})
	})
	t.Run("after a return", func(t *testing.T) {
		inBubble(t, recovering, func(w *world) {
			r := w.returner("")
			r.cut()
			decision := make(chan struct{})
			was := r.id
			w.backend.take()
			w.backend.mu.Lock()
			w.backend.decide = func(_ context.Context, s *Socket) (Admission, error) {
				if s.ID() == was {
					<-decision
				}
				return Admission{}, nil
			}
			w.backend.mu.Unlock()
			go func() {
				synctest.Wait()
				disconnect(w, &returner{id: was})
				close(decision)
			}()
			r.back(false)
			synctest.Wait()
			heard := w.backend.take()
			ended, expired := slices.Index(heard, "disconnected / not recovered"), slices.Index(heard, "expired / changed")
			if ended < 0 || expired < ended {
				t.Errorf("heard %q", heard)
			}
			expect(t, "counted", fmt.Sprint(w.counters.recoveries.All()), "map[changed:1]")
			r.Close()
		})
	})
}

// The log says of each client that comes back what came of it, at level debug, and names no
// secret.
func TestReturnsAreLogged(t *testing.T) {
	var said strings.Builder // read when nothing runs
	opts := recovering
	opts.Engine.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	inBubble(t, opts, func(w *world) {
		r := w.returner("")
		r.cut()
		r.back(true)
		r.cut()
		time.Sleep(time.Minute)
		pid := r.pid
		r.back(false)
		r.Close()
		synctest.Wait()
		for _, want := range []string{
			`level=DEBUG msg="a client came back" namespace=/ connection=`, "result=recovered", "result=expired",
		} {
			if !strings.Contains(said.String(), want) {
				t.Errorf("the log says nothing of %s:\n%s", want, said.String())
			}
		}
		if strings.Contains(said.String(), pid) {
			t.Errorf("the log has a pid:\n%s", said.String())
		}
	})
}

// A server that closes does not tell what goes with it.
func TestRecoveryExpiredOfServerThatCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := serverOf(t, "aaaaa", nil)
		w.returner("").cut()
		w.backend.take()
		if err := w.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if heard := w.backend.take(); len(heard) > 0 {
			t.Errorf("heard %q", heard)
		}
	})
}

// Of a connection that moves, the server tells that keeps it; and it says so to one that
// asks why there is none.
func TestRecoveryExpiredAfterMove(t *testing.T) {
	for name, arrives := range map[string]bool{"it arrives": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := serverOf(t, "aaaaa", nil)
				there := &other{Server: a.Server}
				b := serverOf(t, "bbbbb", there)
				r := a.returner("")
				r.cut()
				a.backend.take()
				was := r.pid
				r.w = b
				want := RecoveryExpired
				if !arrives {
					there.arrived = func(context.Context) error { return ErrBusy }
					want = RecoveryBusy
				}
				r.back(arrives)
				r.cut()
				time.Sleep(time.Hour)
				synctest.Wait()
				expect(t, "heard at the first", strings.Join(a.backend.take(), "; "), "")
				heard := strings.Join(b.backend.take(), "; ")
				if n := strings.Count(heard, "expired / "+string(want)); n != 1 {
					t.Errorf("heard %d times that the connection has expired: %s", n, heard)
				}
				r.pid = was
				r.back(false)
				expect(t, "said", b.view(r.id).Recovery, want)
				r.Close()
			})
		})
	}
}

// What is remembered of connections that are gone is bounded, the oldest going first.
func TestLossesAreBounded(t *testing.T) {
	var l losses
	for i := range maxLosses + 10 {
		l.rememberLocked(fmt.Sprint(i), RecoveryExpired)
	}
	expect(t, "remembered", len(l.reasons), maxLosses)
	if err := l.of("9"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of one of the first: %v", err)
	}
	for _, pid := range []string{"10", fmt.Sprint(maxLosses + 9)} {
		expect(t, "of "+pid, resultOf(l.of(pid)), RecoveryExpired)
	}
}
