package idempotency

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestAppliesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewTable(10)
		var applied int
		apply := func() (sio.Result, error) {
			applied++ // no lock: the race detector would tell of two at once
			time.Sleep(time.Second)
			return sio.Result{Matched: 3}, nil
		}
		var (
			wg         sync.WaitGroup
			mu         sync.Mutex
			duplicates int
		)
		for range 20 {
			wg.Go(func() {
				r, duplicate, err := k.Once(t.Context(), Key{Key: "k"}, Fingerprint{1}, apply)
				if err != nil || r.Matched != 3 {
					t.Errorf("got %+v, %v", r, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if duplicate {
					duplicates++
				}
			})
		}
		wg.Wait()
		if applied != 1 || duplicates != 19 {
			t.Errorf("applied %d times with %d duplicates, want 1 and 19", applied, duplicates)
		}
	})
}

func TestTakesOverFromFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewTable(10)
		failed := errors.New("failed")
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, err := k.Once(t.Context(), Key{Key: "k"}, Fingerprint{1}, func() (sio.Result, error) {
				time.Sleep(time.Second)
				return sio.Result{}, failed
			})
			if !errors.Is(err, failed) {
				t.Errorf("the first: got %v, want its own error", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			r, duplicate, err := k.Once(t.Context(), Key{Key: "k"}, Fingerprint{1}, func() (sio.Result, error) {
				return sio.Result{Matched: 1}, nil
			})
			if err != nil || duplicate || r.Matched != 1 {
				t.Errorf("the second: got %+v, %v, %v, want to apply itself", r, duplicate, err)
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, duplicate, err := k.Once(ctx, Key{Key: "k"}, Fingerprint{1}, func() (sio.Result, error) {
				t.Error("the impatient one applied")
				return sio.Result{}, failed
			})
			if duplicate || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient one: got %v, %v", duplicate, err)
			}
		})
		wg.Go(func() {
			_, duplicate, err := k.Once(t.Context(), Key{Key: "k"}, Fingerprint{2}, nil)
			if duplicate || !errors.Is(err, ErrOtherContent) {
				t.Errorf("other content: got %v, %v", duplicate, err)
			}
		})
		wg.Wait()
	})
}

func TestSurvivesPanic(t *testing.T) {
	k := NewTable(10)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _, _ = k.Once(t.Context(), Key{Key: "k"}, Fingerprint{1}, func() (sio.Result, error) { panic("x") })
	}()
	_, duplicate, err := k.Once(t.Context(), Key{Key: "k"}, Fingerprint{1}, func() (sio.Result, error) { return sio.Result{}, nil })
	if err != nil || duplicate {
		t.Errorf("got %v, %v, want a first attempt", duplicate, err)
	}
}

func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := NewTable(2)
		isDuplicate := func(key string) bool {
			t.Helper()
			_, duplicate, err := k.Once(t.Context(), Key{Key: key}, Fingerprint{1}, func() (sio.Result, error) {
				return sio.Result{}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return duplicate
		}
		steps := []struct {
			key   string
			after time.Duration
			want  bool
		}{
			{"a", 0, false},
			{"a", TTL - 1, true},
			{"a", 1, false}, // expired
			{"b", 0, false},
			{"c", 0, false}, // displaces a
			{"b", 0, true},
			{"a", 0, false},
		}
		for i, s := range steps {
			time.Sleep(s.after)
			if got := isDuplicate(s.key); got != s.want {
				t.Errorf("step %d: %s is a duplicate: %v, want %v", i, s.key, got, s.want)
			}
		}
		if n := k.Running(); n != 0 {
			t.Errorf("%d attempts are still running", n)
		}
	})
}
