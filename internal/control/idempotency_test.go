package control

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/idempotency"
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
		ctx := identity.NewContext(t.Context(), identity.Unlimited(caller))
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
		{To: to(room.Selector{All: true}), Event: "e", ConflateKey: "a"},
		{To: to(room.Selector{All: true}), Event: "e", ConflateKey: "b"},
	}
	seen := map[idempotency.Fingerprint]int{}
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
