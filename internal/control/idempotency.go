package control

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// What a node remembers of idempotency keys; the contract states both.
const (
	keyCount = 65536            // at most some 30 MiB
	keyTTL   = 10 * time.Minute // longer than anything retries by itself
)

// fingerprint tells the content of one emit from that of another.
type fingerprint [sha256.Size]byte

// idempotency sees to it that emits with one key are applied once. All methods
// may be called at once.
//
// What has expired is dropped when it is met or displaced, not by a clock:
// the bound on its size is what holds memory, and no goroutine has to be
// stopped (lru/v2/expirable starts one that never ends).
type idempotency struct {
	mu      sync.Mutex
	running map[scopedKey]*attempt // bounded by the calls in flight
	done    *simplelru.LRU[scopedKey, *attempt]
}

// scopedKey is an idempotency key and the name of the caller whose it is: two
// callers may choose the same.
type scopedKey struct {
	caller string
	key    string
}

// attempt is one request with a key.
type attempt struct {
	print fingerprint
	ended chan struct{} // closed when it has succeeded or failed

	// Written before ended is closed, read after.
	resp    *fanoutv1.EmitResponse // nil: it failed
	expires time.Time
}

func newIdempotency(size int) *idempotency {
	done, err := simplelru.NewLRU[scopedKey, *attempt](size, nil)
	if err != nil {
		panic(err) // only a size that is not positive is refused
	}
	return &idempotency{running: make(map[scopedKey]*attempt), done: done}
}

// do returns apply's answer, or that of the request that had this key before,
// marked as a duplicate. It waits for one that has the key at this moment, and
// takes its place if that fails. same is false if the key was used for another
// content; apply is not called then.
func (k *idempotency) do(ctx context.Context, key scopedKey, print fingerprint, apply func() (*fanoutv1.EmitResponse, error)) (resp *fanoutv1.EmitResponse, same bool, err error) {
	for {
		a, mine := k.begin(key, print)
		if mine {
			defer k.end(key, a)
			a.resp, err = apply()
			return a.resp, true, err
		}
		if a.print != print {
			return nil, false, nil
		}
		select {
		case <-a.ended:
		case <-ctx.Done():
			return nil, true, ctx.Err()
		}
		if a.resp != nil {
			return &fanoutv1.EmitResponse{
				Matched:     a.resp.GetMatched(),
				Duplicate:   true,
				Partial:     a.resp.GetPartial(),
				Unreachable: a.resp.GetUnreachable(),
				Forwarded:   a.resp.GetForwarded(),
			}, true, nil
		}
	}
}

// begin returns the attempt that has this key, or a new one that is the
// caller's to end.
func (k *idempotency) begin(key scopedKey, print fingerprint) (a *attempt, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a, ok := k.running[key]; ok {
		return a, false
	}
	if a, ok := k.done.Get(key); ok && time.Now().Before(a.expires) {
		return a, false
	}
	a = &attempt{print: print, ended: make(chan struct{})}
	k.running[key] = a
	return a, true
}

// end remembers a if it succeeded, and forgets it otherwise.
func (k *idempotency) end(key scopedKey, a *attempt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.running, key)
	if a.resp != nil {
		a.expires = time.Now().Add(keyTTL)
		k.done.Add(key, a)
	}
	close(a.ended)
}

// fingerprintOf covers all that an emit does.
func fingerprintOf(op sio.Emit) (f fingerprint) {
	h := sha256.New()
	hashTarget(h, op.To)
	hashStrings(h, op.Event)
	hashLen(h, len(op.Args))
	h.Write(op.Args)
	hashLen(h, len(op.Attachments))
	for _, a := range op.Attachments {
		hashLen(h, len(a))
		h.Write(a)
	}
	hashBool(h, op.Volatile)
	hashBool(h, op.Compress)
	h.Sum(f[:0])
	return f
}
