package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

func TestEmitWithKey(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "")
	_, conn := dial(t, hub, Options{})
	c := fanoutv1.NewEmitterServiceClient(conn)
	req := &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: "[1]", IdempotencyKey: "k"}

	hub.err = sio.ErrClosed
	if _, err := c.Emit(t.Context(), req); status.Code(err) != codes.Unavailable {
		t.Fatalf("got %v, want UNAVAILABLE", err)
	}
	hub.err = nil
	for i, duplicate := range []bool{false, true, true} { // the failure left no trace
		resp, err := c.Emit(t.Context(), req)
		if want := (&fanoutv1.EmitResponse{Matched: 1, Duplicate: duplicate}); err != nil || !proto.Equal(resp, want) {
			t.Errorf("request %d: got %v, %v, want %v", i, resp, err, want)
		}
		hub.connect("/", fmt.Sprint("later", i), "") // the first answer stays
	}
	other := proto.CloneOf(req)
	other.ArgsJson = "[2]"
	_, err := c.Emit(t.Context(), other)
	if got := fields(t, err); !slices.Equal(got, []string{"idempotency_key"}) {
		t.Errorf("other content: got %q", got)
	}
	if n := hub.applied(); n != 1 {
		t.Errorf("applied %d times, want 1", n)
	}
}

// Two callers who chose the same key do not know of each other, whatever they
// send with it. This also shows that a service needs no transport.
func TestKeysBelongToTheirCaller(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "")
	e := New(hub, Options{}).Emitter
	emit := func(caller, args string) (*fanoutv1.EmitResponse, error) {
		ctx := identity.NewContext(t.Context(), identity.Principal{Name: caller})
		return e.Emit(ctx, &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: args, IdempotencyKey: "k"})
	}
	for _, tt := range []struct {
		caller, args string
		duplicate    bool
	}{
		{"x", "[1]", false},
		{"y", "[1]", false},
		{"z", "[2]", false},
		{"", "[3]", false},
		{"y", "[1]", true},
		{"z", "[2]", true},
	} {
		resp, err := emit(tt.caller, tt.args)
		if err != nil || resp.GetDuplicate() != tt.duplicate {
			t.Errorf("%q with %s: got %v, %v, want duplicate %v", tt.caller, tt.args, resp, err, tt.duplicate)
		}
	}
	if _, err := emit("x", "[2]"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("other content of the same caller: got %v, want INVALID_ARGUMENT", err)
	}
	if n := hub.applied(); n != 4 {
		t.Errorf("applied %d times, want once for each caller", n)
	}
}

func TestIdempotencyAppliesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newIdempotency(10)
		var applied int
		apply := func() (*fanoutv1.EmitResponse, error) {
			applied++ // no lock: the race detector would tell of two at once
			time.Sleep(time.Second)
			return &fanoutv1.EmitResponse{Matched: 3}, nil
		}
		var (
			wg         sync.WaitGroup
			mu         sync.Mutex
			duplicates int
		)
		for range 20 {
			wg.Go(func() {
				resp, same, err := k.do(t.Context(), scopedKey{key: "k"}, fingerprint{1}, apply)
				if err != nil || !same || resp.GetMatched() != 3 {
					t.Errorf("got %v, %v, %v", resp, same, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if resp.GetDuplicate() {
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

func TestIdempotencyTakesOverFromFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newIdempotency(10)
		failed := errors.New("failed")
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, err := k.do(t.Context(), scopedKey{key: "k"}, fingerprint{1}, func() (*fanoutv1.EmitResponse, error) {
				time.Sleep(time.Second)
				return nil, failed
			})
			if !errors.Is(err, failed) {
				t.Errorf("the first: got %v, want its own error", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			resp, same, err := k.do(t.Context(), scopedKey{key: "k"}, fingerprint{1}, func() (*fanoutv1.EmitResponse, error) {
				return &fanoutv1.EmitResponse{Matched: 1}, nil
			})
			if err != nil || !same || resp.GetDuplicate() || resp.GetMatched() != 1 {
				t.Errorf("the second: got %v, %v, %v, want to apply itself", resp, same, err)
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			_, same, err := k.do(ctx, scopedKey{key: "k"}, fingerprint{1}, func() (*fanoutv1.EmitResponse, error) {
				t.Error("the impatient one applied")
				return nil, failed
			})
			if !same || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient one: got %v, %v", same, err)
			}
		})
		wg.Go(func() {
			_, same, err := k.do(t.Context(), scopedKey{key: "k"}, fingerprint{2}, nil)
			if same || err != nil {
				t.Errorf("other content: got %v, %v", same, err)
			}
		})
		wg.Wait()
	})
}

func TestIdempotencySurvivesPanic(t *testing.T) {
	k := newIdempotency(10)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _, _ = k.do(t.Context(), scopedKey{key: "k"}, fingerprint{1}, func() (*fanoutv1.EmitResponse, error) { panic("x") })
	}()
	resp, _, err := k.do(t.Context(), scopedKey{key: "k"}, fingerprint{1}, func() (*fanoutv1.EmitResponse, error) { return &fanoutv1.EmitResponse{}, nil })
	if err != nil || resp.GetDuplicate() {
		t.Errorf("got %v, %v, want a first attempt", resp, err)
	}
}

func TestIdempotencyForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newIdempotency(2)
		duplicate := func(key string) bool {
			t.Helper()
			resp, same, err := k.do(t.Context(), scopedKey{key: key}, fingerprint{1}, func() (*fanoutv1.EmitResponse, error) {
				return &fanoutv1.EmitResponse{}, nil
			})
			if err != nil || !same {
				t.Fatalf("got %v, %v", same, err)
			}
			return resp.GetDuplicate()
		}
		steps := []struct {
			key   string
			after time.Duration
			want  bool
		}{
			{"a", 0, false},
			{"a", keyTTL - 1, true},
			{"a", 1, false}, // expired
			{"b", 0, false},
			{"c", 0, false}, // displaces a
			{"b", 0, true},
			{"a", 0, false},
		}
		for i, s := range steps {
			time.Sleep(s.after)
			if got := duplicate(s.key); got != s.want {
				t.Errorf("step %d: %s is a duplicate: %v, want %v", i, s.key, got, s.want)
			}
		}
		if n := len(k.running); n != 0 {
			t.Errorf("%d attempts are still running", n)
		}
	})
}

func TestFingerprintTellsApart(t *testing.T) {
	to := func(s room.Selector) sio.Target { return sio.Target{Namespace: "/", Selector: s} }
	emits := []sio.Emit{
		{To: to(room.Selector{All: true}), Event: "e"},
		{To: sio.Target{Namespace: "/chat", Selector: room.Selector{All: true}}, Event: "e"},
		{To: to(room.Selector{Rooms: []string{"a", "b"}}), Event: "e"},
		{To: to(room.Selector{Rooms: []string{"ab"}}), Event: "e"},
		{To: to(room.Selector{Rooms: []string{"a"}, Except: []string{"b"}}), Event: "e"},
		{To: to(room.Selector{IDs: []string{"a", "b"}}), Event: "e"},
		{To: to(room.Selector{Users: []string{"a", "b"}}), Event: "e"},
		{To: to(room.Selector{All: true}), Event: "f"},
		{To: to(room.Selector{All: true}), Event: "e", Args: []byte("[]")},
		{To: to(room.Selector{All: true}), Event: "e", Attachments: [][]byte{{1}, {2}}},
		{To: to(room.Selector{All: true}), Event: "e", Attachments: [][]byte{{1, 2}}},
		{To: to(room.Selector{All: true}), Event: "e", Volatile: true},
		{To: to(room.Selector{All: true}), Event: "e", Compress: true},
	}
	seen := map[fingerprint]int{}
	for i, e := range emits {
		f := fingerprintOf(e)
		if j, ok := seen[f]; ok {
			t.Errorf("emits %d and %d look the same", i, j)
		}
		if seen[f] = i; f != fingerprintOf(e) {
			t.Errorf("emit %d looks different the second time", i)
		}
	}
}
