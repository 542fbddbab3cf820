package blocks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Store that may fail.
type memory struct {
	mu      sync.Mutex
	records map[string][]byte
	err     error
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) Load(f func(string, []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(m.records)) {
		if err := f(key, m.records[key]); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Update(put map[string][]byte, remove []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	maps.Copy(m.records, put)
	for _, key := range remove {
		delete(m.records, key)
	}
	return nil
}

// ender notes who is to be ended, and says that each was one connection.
type ender struct{ calls []string }

func (e *ender) EndBlocked(users []string, prefixes []netip.Prefix, why string) int {
	e.calls = append(e.calls, fmt.Sprintf("%v %v %s", users, prefixes, why))
	return len(users) + len(prefixes)
}

func newKeeper(t *testing.T, node string, s Store) (*Keeper, *ender) {
	t.Helper()
	k, err := NewKeeper(node, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e := &ender{}
	k.Enforce(e)
	return k, e
}

func TestBlockOutlivesARestart(t *testing.T) {
	store := &memory{records: map[string][]byte{}}
	k, e := newKeeper(t, "a", store)
	until := time.Now().Add(time.Hour)
	entries, ended, err := k.Block(Change{Subjects: []Subject{user("42"), network("10.0.0.0/24")}, Until: until, Reason: "spam", Caller: "ops"})
	if err != nil || ended != 2 || len(entries) != 2 || !slices.Equal(e.calls, []string{"[42] [10.0.0.0/24] blocked: spam"}) {
		t.Fatalf("%v, %d, %v; ended %q", entries, ended, err, e.calls)
	}
	if _, _, err := k.Block(Change{Subjects: []Subject{user("43")}}); err != nil {
		t.Fatal(err)
	}
	entries, lifted, err := k.Unblock(Change{Subjects: []Subject{user("43"), user("44")}})
	if err != nil || lifted != 1 || len(entries) != 2 {
		t.Errorf("Unblock: %v, %d, %v", entries, lifted, err)
	}
	k, e = newKeeper(t, "a", store)
	if !k.User("42") || k.User("43") || !k.Address(netip.MustParseAddr("10.0.0.9")) || len(e.calls) != 0 {
		t.Error("it is not what it was")
	}
	page, _ := k.Page(Filter{UserPrefix: "42"}, nil, 10)
	if len(page) != 1 || page[0].Reason != "spam" || page[0].Caller != "ops" || !page[0].Until.Equal(until) || page[0].Stamp.Node != "a" || time.Since(page[0].At()) > time.Minute {
		t.Errorf("%+v", page)
	}
	// A node with what was before does not bring it back.
	old := Entry{Subject: user("43"), Stamp: Stamp{1, "b"}, Blocked: true}
	if ended, lifted, err := k.Take([]Entry{old}); ended != 0 || lifted != 0 || !errors.Is(err, ErrLater) || k.User("43") {
		t.Errorf("Take: %d, %d, %v", ended, lifted, err)
	}
}

func TestNothingIsDoneThatCannotBeKept(t *testing.T) {
	full := errors.New("no space left on device")
	store := &memory{records: map[string][]byte{}}
	k, e := newKeeper(t, "a", store)
	if _, _, err := k.Block(Change{Subjects: []Subject{user("42")}}); err != nil {
		t.Fatal(err)
	}
	store.err = full
	before := k.Digest()
	_, _, err := k.Block(Change{Subjects: []Subject{user("43")}})
	if failed := (*StoreError)(nil); !errors.As(err, &failed) || !errors.Is(err, full) {
		t.Errorf("Block: %v", err)
	}
	if _, _, err := k.Unblock(Change{Subjects: []Subject{user("42")}}); !errors.Is(err, full) {
		t.Errorf("Unblock: %v", err)
	}
	if k.Digest() != before || !k.User("42") || k.User("43") || len(e.calls) != 1 {
		t.Error("something was done")
	}
}

// What another node has done is in force in any case, and is kept as soon as it can be.
func TestTakeWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		store := &memory{records: map[string][]byte{}, err: full}
		k, e := newKeeper(t, "a", store)
		ctx, end := context.WithCancel(t.Context())
		go k.Run(ctx)
		ended, _, err := k.Take([]Entry{*at(user("42"), time.Now().UnixNano(), true)})
		if ended != 1 || !errors.Is(err, full) || !k.User("42") || !slices.Equal(e.calls, []string{"[42] [] blocked"}) {
			t.Errorf("%d, %v, ended %q", ended, err, e.calls)
		}
		time.Sleep(pruneEvery + 1)
		synctest.Wait()
		if store.count() != 0 {
			t.Error("it was kept all the same")
		}
		store.fail(nil)
		time.Sleep(pruneEvery)
		synctest.Wait()
		if store.count() != 1 {
			t.Errorf("%d are kept", store.count())
		}
		end()
		synctest.Wait()
	})
}

// What is over is forgotten in the store too.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{records: map[string][]byte{}}
		k, _ := newKeeper(t, "a", store)
		ctx, end := context.WithCancel(t.Context())
		go k.Run(ctx)
		for _, change := range []func(Change) ([]Entry, int, error){k.Block, k.Unblock} {
			if _, _, err := change(Change{Subjects: []Subject{user("42")}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := k.Block(Change{Subjects: []Subject{user("43")}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(Remembered)
		synctest.Wait()
		if store.count() != 2 {
			t.Errorf("after %v: %d are left", Remembered, store.count())
		}
		time.Sleep(2 * pruneEvery)
		synctest.Wait()
		if store.count() != 1 || !k.User("43") {
			t.Errorf("later: %d are left", store.count())
		}
		end()
		synctest.Wait()
	})
}

// What is done in the knowledge of something comes after it, whatever clocks say.
func TestStampsGoOn(t *testing.T) {
	k, _ := newKeeper(t, "a", nil)
	ahead := time.Now().Add(time.Hour).UnixNano()
	if _, _, err := k.Take([]Entry{*at(user("42"), ahead, true)}); err != nil {
		t.Fatal(err)
	}
	entries, lifted, err := k.Unblock(Change{Subjects: []Subject{user("42")}})
	if err != nil || lifted != 1 || entries[0].Stamp.Time <= ahead || k.User("42") {
		t.Errorf("%v, %d, %v", entries, lifted, err)
	}
}

func TestTooMany(t *testing.T) {
	k, _ := newKeeper(t, "a", nil)
	now := time.Now().UnixNano()
	all := make([]*Entry, Max)
	for i := range all {
		all[i] = at(user(fmt.Sprint(i)), now, true)
	}
	k.merge(all)
	if _, _, err := k.Block(Change{Subjects: []Subject{user("7")}}); err != nil {
		t.Errorf("anew: %v", err)
	}
	more := Change{Subjects: []Subject{user("7"), user("more")}}
	if _, _, err := k.Block(more); !errors.Is(err, ErrTooMany) || k.User("more") {
		t.Errorf("one more: %v", err)
	}
	if _, _, err := k.Unblock(Change{Subjects: []Subject{user("8")}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Block(more); err != nil {
		t.Errorf("in place of one: %v", err)
	}
}

// Of what is over, so much is remembered and no more.
func TestLiftedAreBounded(t *testing.T) {
	k, _ := newKeeper(t, "a", nil)
	now := time.Now().UnixNano()
	all := make([]*Entry, MaxLifted+2)
	for i := range all {
		all[i] = at(user(fmt.Sprint(i)), now-int64(i), false)
	}
	k.merge(all)
	k.tidy()
	last := len(all) - 1
	if c := k.Counts(); c.Lifted != MaxLifted || k.find(all[last].Subject) != nil || k.find(all[last-1].Subject) != nil || k.find(all[last-2].Subject) == nil {
		t.Errorf("%+v", c)
	}
}

// Run is not waited for when there are too many.
func TestLiftedAreBoundedAtOnce(t *testing.T) {
	const most = Max + MaxLifted + MaxLifted/10
	k, _ := newKeeper(t, "a", nil)
	now := time.Now().UnixNano()
	filled := 0
	fill := func() {
		all := make([]*Entry, most-k.size())
		for i := range all {
			all[i] = at(user(fmt.Sprint(filled)), now, false)
			filled++
		}
		k.merge(all)
	}
	fill()
	if _, _, err := k.Unblock(Change{Subjects: []Subject{user("one more")}}); err != nil || k.size() != MaxLifted {
		t.Errorf("Unblock: %v, and %d are kept", err, k.size())
	}
	fill()
	if _, _, err := k.Take([]Entry{*at(user("another"), now, false)}); err != nil || k.size() != MaxLifted {
		t.Errorf("Take: %v, and %d are kept", err, k.size())
	}
}

// What became stale while the process did not run is removed from the store in the end, unless
// it is something anew since.
func TestForgetAfterALongStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := time.Now().Add(-2 * Remembered).UnixNano()
		store := &memory{records: map[string][]byte{}}
		for _, name := range []string{"42", "43"} {
			e := at(user(name), long, false)
			text, err := e.encode()
			if err != nil {
				t.Fatal(err)
			}
			store.records[e.Key()] = text
		}
		k, _ := newKeeper(t, "a", store)
		if _, _, err := k.Block(Change{Subjects: []Subject{user("43")}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(settleTime - 1)
		k.tidy()
		if store.count() != 2 {
			t.Errorf("too early the store has %v", slices.Collect(maps.Keys(store.records)))
		}
		time.Sleep(time.Nanosecond)
		k.tidy()
		if store.count() != 1 || store.records["u43"] == nil {
			t.Errorf("the store has %v", slices.Collect(maps.Keys(store.records)))
		}
	})
}

// A process that starts with a clock that is far ahead, and is corrected, forgets nothing.
func TestClockAheadAtTheStart(t *testing.T) {
	store := &memory{records: map[string][]byte{}}
	begin := func(ahead time.Duration, f func(*Keeper)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) { // each begins at the same time
			time.Sleep(ahead)
			k, _ := newKeeper(t, "a", store)
			ctx, end := context.WithCancel(t.Context())
			go k.Run(ctx)
			f(k)
			end()
			synctest.Wait()
		})
	}
	begin(0, func(k *Keeper) {
		if _, _, err := k.Block(Change{Subjects: []Subject{user("42")}, Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	})
	begin(2*Remembered, func(k *Keeper) {
		if k.User("42") {
			t.Error("blocked far ahead")
		}
		time.Sleep(settleTime / 2)
	})
	begin(time.Minute, func(k *Keeper) {
		if !k.User("42") {
			t.Error("forgotten")
		}
	})
}

// TestSettling: a clock is believed once it has gone for so long without being set.
func TestSettling(t *testing.T) {
	began := time.Unix(1e9, 0)
	var s settling
	for _, tt := range []struct {
		after, wall time.Duration
		want        bool
	}{
		{0, 0, false},
		{settleTime - 1, settleTime - 1, false},
		{settleTime, settleTime + clockJump, true}, // a correction
		{settleTime + 1, settleTime + clockJump + 1, true},
		{settleTime + 2, settleTime + 2*clockJump + 3, false}, // it was set
		{2*settleTime + 1, 2*settleTime + 2*clockJump, false},
		{2*settleTime + 2, 2*settleTime + 2*clockJump, true},
		{2*settleTime + 3, 0, false}, // back
		{3*settleTime + 3, settleTime, true},
	} {
		if got := s.look(began.Add(tt.wall), tt.after); got != tt.want {
			t.Errorf("after %v, at %v: %v", tt.after, tt.wall, got)
		}
	}
}

// What is forgotten before it could be kept needs no room any more.
func TestForgetWhatIsUnsaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := newKeeper(t, "a", &memory{records: map[string][]byte{}, err: errors.New("no space left on device")})
		if _, _, err := k.Take([]Entry{*at(user("42"), time.Now().UnixNano(), false)}); err == nil {
			t.Fatal("it was kept")
		}
		time.Sleep(Remembered + 1)
		k.tidy()
		if len(k.unsaved) != 0 || k.size() != 0 {
			t.Errorf("%d and %d are left", len(k.unsaved), k.size())
		}
	})
}

// A block is lifted once, however many lift it at a time.
func TestLiftedOnce(t *testing.T) {
	k, _ := newKeeper(t, "a", &memory{records: map[string][]byte{}})
	const rounds = 100
	var mu sync.Mutex
	total := 0
	for range rounds {
		if _, _, err := k.Block(Change{Subjects: []Subject{user("42")}}); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				_, lifted, err := k.Unblock(Change{Subjects: []Subject{user("42")}})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				total += lifted
			})
		}
		all.Wait()
	}
	if total != rounds {
		t.Errorf("%d were lifted, want %d", total, rounds)
	}
}

// What another node tells and is not the latest is not so here, which it hears.
func TestTakeOfWhatIsNotTheLatest(t *testing.T) {
	k, _ := newKeeper(t, "a", nil)
	now := time.Now().UnixNano()
	for _, tt := range []struct {
		told  *Entry
		later bool
	}{
		{at(user("42"), now+10, false), false},
		{at(user("42"), now+10, false), false}, // once more
		{at(user("42"), now, true), true},
		{at(user("42"), now, false), false}, // it is so
		{at(user("42"), now+20, true), false},
		{at(user("42"), now+10, false), true},
	} {
		if _, _, err := k.Take([]Entry{*at(user("7"), now, true), *tt.told}); errors.Is(err, ErrLater) != tt.later || err != nil && !tt.later {
			t.Errorf("blocked: %v at %d: %v", tt.told.Blocked, tt.told.Stamp.Time-now, err)
		}
	}
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	for key, value := range map[string]string{"x": "{}", "u42": "{", "a10.0.0.1/99": "{}"} {
		if _, err := NewKeeper("a", &memory{records: map[string][]byte{key: []byte(value)}}, nil); err == nil {
			t.Errorf("%q: %s was read", key, value)
		}
	}
}
