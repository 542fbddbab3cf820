package idempotency

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// What a node remembers of keys; the contract states both.
const (
	Count = 65536            // at most some 30 MiB
	TTL   = 10 * time.Minute // longer than anything retries by itself
)

// ErrOtherContent says that a key was used for something else.
var ErrOtherContent = errors.New("idempotency: the key was used for other content")

// Key is an idempotency key and the name of the caller whose it is: two callers may
// choose the same.
type Key struct{ Caller, Key string }

// Fingerprint tells the content of one request from that of another.
type Fingerprint [sha256.Size]byte

// Table remembers the keys of what was done. It is safe for concurrent use.
//
// What has expired is dropped when it is met or displaced, not by a clock: the bound on
// its size is what holds memory, and no goroutine has to be stopped (lru/v2/expirable
// starts one that never ends).
type Table struct {
	mu      sync.Mutex
	running map[Key]*Attempt // bounded by who begins them
	done    *simplelru.LRU[Key, *Attempt]
}

// Attempt is one request with a key.
type Attempt struct {
	table *Table
	key   Key
	print Fingerprint
	ended chan struct{} // closed when it has succeeded or failed

	// Written before ended is closed, read after.
	succeeded bool
	result    sio.Result
	expires   time.Time
}

// NewTable returns a Table that remembers the last so many keys.
func NewTable(size int) *Table {
	done, err := simplelru.NewLRU[Key, *Attempt](size, nil)
	if err != nil {
		panic(err) // only a size that is not positive is refused
	}
	return &Table{running: make(map[Key]*Attempt), done: done}
}

// Once returns apply's result, or that of the request that had this key before; then
// duplicate is true. It waits for one that has the key at this moment, and takes its
// place if that fails. Errors are apply's, [ErrOtherContent], and that of ctx.
func (t *Table) Once(ctx context.Context, key Key, print Fingerprint, apply func() (sio.Result, error)) (result sio.Result, duplicate bool, err error) {
	for {
		a, mine, err := t.Begin(key, print)
		if err != nil {
			return sio.Result{}, false, err
		}
		if mine {
			result, err = a.Run(apply)
			return result, false, err
		}
		select {
		case <-a.Ended():
		case <-ctx.Done():
			return sio.Result{}, false, ctx.Err()
		}
		if result, ok := a.Result(); ok {
			return result, true, nil
		}
	}
}

// Begin returns the attempt that has this key, or a new one that is the caller's to end.
// Its error is [ErrOtherContent].
func (t *Table) Begin(key Key, print Fingerprint) (a *Attempt, mine bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a = t.findLocked(key); a != nil {
		if a.print != print {
			return nil, false, ErrOtherContent
		}
		return a, false, nil
	}
	a = newAttempt(t, key, print)
	t.running[key] = a
	return a, true, nil
}

func newAttempt(t *Table, key Key, print Fingerprint) *Attempt {
	return &Attempt{table: t, key: key, print: print, ended: make(chan struct{})}
}

// Find returns the attempt that has this key, running or succeeded; nil: none has. Its
// error is [ErrOtherContent].
func (t *Table) Find(key Key, print Fingerprint) (*Attempt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.findLocked(key)
	if a != nil && a.print != print {
		return nil, ErrOtherContent
	}
	return a, nil
}

func (t *Table) findLocked(key Key) *Attempt {
	if a, ok := t.running[key]; ok {
		return a
	}
	if a, ok := t.done.Get(key); ok && time.Now().Before(a.expires) {
		return a
	}
	return nil
}

// Keep remembers what an attempt that this table did not begin has done.
func (t *Table) Keep(key Key, print Fingerprint, result sio.Result) {
	a := newAttempt(t, key, print)
	t.mu.Lock()
	defer t.mu.Unlock()
	a.succeedLocked(result)
}

// Running counts the attempts that have not ended.
func (t *Table) Running() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.running)
}

// Run ends the attempt by what apply returns; if apply panics it has failed.
func (a *Attempt) Run(apply func() (sio.Result, error)) (result sio.Result, err error) {
	defer a.Fail() // it does nothing after a success
	if result, err = apply(); err == nil {
		a.Succeed(result)
	}
	return result, err
}

// Succeed ends the attempt, whose result is remembered. Once it has ended nothing
// happens, here and in Fail.
func (a *Attempt) Succeed(result sio.Result) {
	a.table.mu.Lock()
	defer a.table.mu.Unlock()
	if a.endLocked() {
		a.succeedLocked(result)
	}
}

// Fail ends the attempt, which is forgotten.
func (a *Attempt) Fail() {
	a.table.mu.Lock()
	defer a.table.mu.Unlock()
	if a.endLocked() {
		close(a.ended)
	}
}

// endLocked removes the attempt from those that run; false: it is none of them.
func (a *Attempt) endLocked() bool {
	if a.table.running[a.key] != a {
		return false
	}
	delete(a.table.running, a.key)
	return true
}

func (a *Attempt) succeedLocked(result sio.Result) {
	result.Unreachable = slices.Clone(result.Unreachable) // the caller's to change
	a.succeeded, a.result, a.expires = true, result, time.Now().Add(TTL)
	a.table.done.Add(a.key, a)
	close(a.ended)
}

// Ended is closed when the attempt has succeeded or failed.
func (a *Attempt) Ended() <-chan struct{} { return a.ended }

// Result returns what the attempt did; false: it failed. It is called when the attempt
// has ended.
func (a *Attempt) Result() (sio.Result, bool) {
	r := a.result
	r.Unreachable = slices.Clone(r.Unreachable)
	return r, a.succeeded
}
