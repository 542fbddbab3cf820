package drain

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func lasting(d time.Duration) *time.Duration { return &d }

// TestBegin: the first plan is followed, what it does not say as the settings say; readiness
// says no, once, by the time that it has begun.
func TestBegin(t *testing.T) {
	notReady := 0
	d := New(Plan{Delay: time.Second, Time: time.Minute}, func() Counts { return Counts{} }, func() { notReady++ })
	if p := d.Phase(); p != Serving {
		t.Errorf("phase %v at first", p)
	}
	if !d.Begin(Overrides{Time: lasting(0)}) {
		t.Error("the first Begin did not begin it")
	}
	if d.Begin(Overrides{Delay: lasting(time.Hour)}) {
		t.Error("the second Begin began it once more")
	}
	if notReady != 1 {
		t.Errorf("readiness was told %d times", notReady)
	}
	p, _ := d.Progress()
	if want := (Plan{Delay: time.Second}); p.Plan != want || p.Phase != NotReady {
		t.Errorf("phase %v by plan %v, want %v by %v", p.Phase, p.Plan, NotReady, want)
	}
	select {
	case <-d.Begun():
	default:
		t.Error("it has not begun")
	}
}

// TestFollow: two who follow hear of each phase, and every second how far it is; one whose
// context ends goes alone.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int32
		d := New(Plan{}, func() Counts { return Counts{Closed: int(closed.Load())} }, func() {})
		d.Begin(Overrides{})
		var heard []Progress
		followed := make(chan error, 1)
		go func() {
			followed <- d.Follow(t.Context(), func(p Progress) error { heard = append(heard, p); return nil })
		}()
		ctx, cancel := context.WithCancelCause(t.Context())
		leaving := errors.New("leaving")
		alone := make(chan error, 1)
		go func() { alone <- d.Follow(ctx, func(Progress) error { return nil }) }()
		synctest.Wait()
		cancel(leaving)
		if err := <-alone; !errors.Is(err, leaving) {
			t.Errorf("one who leaves: %v", err)
		}
		d.Enter(Closing)
		synctest.Wait()
		for range 2 {
			closed.Add(1)
			time.Sleep(Every)
			synctest.Wait()
		}
		closed.Add(1)
		d.Enter(Consumers)
		synctest.Wait()
		d.Enter(Closing) // it never goes back
		synctest.Wait()
		d.Enter(Done)
		if err := <-followed; err != nil {
			t.Errorf("Follow: %v", err)
		}
		var phases []Phase
		var counts []int
		for _, p := range heard {
			phases, counts = append(phases, p.Phase), append(counts, p.Closed)
		}
		if want := []Phase{NotReady, Closing, Closing, Closing, Consumers, Done}; !slices.Equal(phases, want) {
			t.Errorf("heard of %v, want %v", phases, want)
		}
		if want := []int{0, 0, 1, 2, 3, 3}; !slices.Equal(counts, want) {
			t.Errorf("closed %v, want %v", counts, want)
		}
		if last := heard[len(heard)-1].Elapsed; last != 2*Every {
			t.Errorf("it took %v, want %v", last, 2*Every)
		}
	})
}

// TestFollowEnds: who cannot be told is told no more.
func TestFollowEnds(t *testing.T) {
	d := New(Plan{}, func() Counts { return Counts{} }, func() {})
	d.Begin(Overrides{})
	broken := errors.New("broken")
	if err := d.Follow(t.Context(), func(Progress) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("Follow: %v, want %v", err, broken)
	}
}
