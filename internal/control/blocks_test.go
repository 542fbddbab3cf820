package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// ender counts those who are to be ended.
type ender struct{ ended int }

func (e *ender) EndBlocked(users []string, prefixes []netip.Prefix, _ string) int {
	e.ended += len(users) + len(prefixes)
	return len(users) + len(prefixes)
}

// fullStore takes nothing.
type fullStore struct{}

func (fullStore) Load(func(string, []byte) error) error { return nil }
func (fullStore) Update(map[string][]byte, []string) error {
	return errors.New("write /secret/path: no space left on device")
}

func dialBlocks(t *testing.T, store blocks.Store, log *slog.Logger) (fanoutv1.RegistryServiceClient, *blocks.Keeper, *server) {
	t.Helper()
	k, err := blocks.NewKeeper("here", store, log)
	if err != nil {
		t.Fatal(err)
	}
	k.Enforce(&ender{})
	s, conn := dial(t, newMemHub(), Options{Blocks: BlocksOf(k), Logger: log})
	return fanoutv1.NewRegistryServiceClient(conn), k, s
}

func TestBlocks(t *testing.T) {
	var log strings.Builder
	c, k, s := dialBlocks(t, nil, slog.New(slog.NewTextHandler(&log, nil)))
	s.caller = identity.Unlimited("ops")
	ctx := t.Context()
	until := timestamppb.New(time.Now().Add(time.Hour))
	resp, err := c.Block(ctx, &fanoutv1.BlockRequest{
		Users: []string{"42", "42", "44"}, Addresses: []string{"203.0.113.7/24", "203.0.113.0/24"}, Until: until, Reason: "spam",
	})
	if err != nil || resp.GetAffected() != 3 || resp.GetDuplicate() || resp.GetPartial() {
		t.Fatalf("%v, %v", resp, err)
	}
	if !k.User("42") || !k.Address(netip.MustParseAddr("203.0.113.99")) {
		t.Error("it is not in force")
	}
	for _, want := range []string{`change=block`, `subjects=3`, `affected=3`, `users="[42 44]"`, `addresses=[203.0.113.0/24]`, `reason=spam`, `caller=ops`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, &log)
		}
	}
	page, err := c.ListBlocks(ctx, &fanoutv1.ListBlocksRequest{Address: "203.0.113.99"})
	if err != nil || len(page.GetBlocks()) != 1 {
		t.Fatalf("%v, %v", page, err)
	}
	b := page.GetBlocks()[0]
	if b.GetAddress() != "203.0.113.0/24" || b.GetReason() != "spam" || b.GetCaller() != "ops" || b.GetNode() != "here" || !b.GetUntil().AsTime().Equal(until.AsTime()) || time.Since(b.GetBlockedAt().AsTime()) > time.Minute {
		t.Errorf("%v", b)
	}
	for range 2 {
		gone, err := c.Unblock(ctx, &fanoutv1.UnblockRequest{Users: []string{"42", "nobody"}, IdempotencyKey: "k"})
		if err != nil || gone.GetAffected() != 1 {
			t.Errorf("%v, %v", gone, err)
		}
	}
	if gone, err := c.Unblock(ctx, &fanoutv1.UnblockRequest{Users: []string{"42"}, Addresses: []string{"203.0.113.7"}}); err != nil || gone.GetAffected() != 0 {
		t.Errorf("of what is not blocked: %v, %v", gone, err)
	}
	if k.User("42") || !k.User("44") {
		t.Error("the wrong one was lifted")
	}
}

// One key does one thing, once.
func TestBlocksOnce(t *testing.T) {
	e := &ender{}
	c, k, _ := dialBlocks(t, nil, slog.New(slog.DiscardHandler))
	k.Enforce(e)
	req := &fanoutv1.BlockRequest{Users: []string{"42"}, IdempotencyKey: "k"}
	for i := range 3 {
		resp, err := c.Block(t.Context(), req)
		if err != nil || resp.GetAffected() != 1 || resp.GetDuplicate() != (i > 0) {
			t.Errorf("%v, %v", resp, err)
		}
	}
	if e.ended != 1 {
		t.Errorf("it was done %d times", e.ended)
	}
	for _, other := range []*fanoutv1.BlockRequest{
		{Users: []string{"43"}, IdempotencyKey: "k"}, {Users: []string{"42"}, Reason: "r", IdempotencyKey: "k"},
		{Users: []string{"42"}, Until: timestamppb.New(time.Now().Add(time.Hour)), IdempotencyKey: "k"},
	} {
		if _, err := c.Block(t.Context(), other); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "other content") {
			t.Errorf("%v: %v", other, err)
		}
	}
	if _, err := c.Unblock(t.Context(), &fanoutv1.UnblockRequest{Users: []string{"42"}, IdempotencyKey: "k"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("Unblock with the key of a Block: %v", err)
	}
}

// Who makes a connection a blocked user's is told so, as that ends it; a connection that has
// left is not there, whoever it was to be.
func TestUpdateToABlockedUser(t *testing.T) {
	inBubble(t, dispatch.Options{}, func(w *world, so sio.Options, o dispatch.Options) {
		k, err := blocks.NewKeeper("n1", nil, o.Logger)
		if err != nil {
			w.t.Fatal(err)
		}
		w.blocks = k
		w.startNode(so, o)
	}, func(w *world) {
		c, id := w.connect("")
		registry := fanoutv1.NewRegistryServiceClient(w.conn)
		if _, err := registry.Block(w.ctx(), &fanoutv1.BlockRequest{Users: []string{"42"}}); err != nil {
			w.t.Fatal(err)
		}
		req := &fanoutv1.UpdateConnectionRequest{Id: id, UserId: proto.String("42"), IdempotencyKey: "k"}
		for range 2 { // once, and asked again
			_, err := registry.UpdateConnection(w.ctx(), req)
			s := status.Convert(err)
			if s.Code() != codes.FailedPrecondition || len(s.Details()) != 1 || s.Details()[0].(*errdetails.ErrorInfo).GetReason() != "USER_BLOCKED" {
				w.t.Errorf("%v", err)
			}
		}
		if got := c.Next(); got != "41" {
			w.t.Errorf("the browser got %s", got)
		}
		c.Closed()
		req.IdempotencyKey = ""
		if _, err := registry.UpdateConnection(w.ctx(), req); status.Code(err) != codes.NotFound {
			w.t.Errorf("of a connection that has ended: %v", err)
		}
	})
}

func TestBlockPages(t *testing.T) {
	c, _, _ := dialBlocks(t, nil, slog.New(slog.DiscardHandler))
	req := &fanoutv1.BlockRequest{Addresses: []string{"203.0.113.0/24"}}
	for i := range 25 {
		req.Users = append(req.Users, fmt.Sprintf("u%02d", i))
	}
	if _, err := c.Block(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]int{"": 26, "u1": 10, "x": 0} {
		list, seen := &fanoutv1.ListBlocksRequest{UserPrefix: prefix, PageSize: 7}, map[string]bool{}
		for {
			page, err := c.ListBlocks(t.Context(), list)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range page.GetBlocks() {
				seen[b.GetUserId()+b.GetAddress()] = true
			}
			if list.PageToken = page.GetNextPageToken(); list.PageToken == "" {
				break
			}
			if _, err := c.ListBlocks(t.Context(), &fanoutv1.ListBlocksRequest{UserPrefix: "other", PageToken: list.PageToken}); status.Code(err) != codes.InvalidArgument {
				t.Errorf("a token of another query: %v", err)
			}
		}
		if len(seen) != want {
			t.Errorf("%q: %d, want %d", prefix, len(seen), want)
		}
	}
}

func TestBlocksRefused(t *testing.T) {
	c, k, _ := dialBlocks(t, nil, slog.New(slog.DiscardHandler))
	many := make([]string, maxSubjects+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for want, req := range map[string]*fanoutv1.BlockRequest{
		"users: give users or addresses":         {},
		"users: 1001 users":                      {Users: many},
		"users[1]: must not be empty":            {Users: []string{"42", ""}},
		"users[0]: 1025 bytes":                   {Users: []string{strings.Repeat("x", maxUser+1)}},
		`addresses[0]: "0.0.0.0/0" covers too`:   {Addresses: []string{"0.0.0.0/0"}},
		`addresses[1]: "app.example" is neither`: {Addresses: []string{"10.0.0.1", "app.example"}},
		"until: has passed":                      {Users: []string{"42"}, Until: timestamppb.New(time.Now().Add(-time.Second))},
		"until: is before 1970":                  {Users: []string{"42"}, Until: &timestamppb.Timestamp{Seconds: -1}},
		"reason: 257 bytes":                      {Users: []string{"42"}, Reason: strings.Repeat("x", maxReason+1)},
		"idempotency_key: 129 bytes":             {Users: []string{"42"}, IdempotencyKey: strings.Repeat("x", maxKey+1)},
	} {
		_, err := c.Block(t.Context(), req)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if k.Counts() != (blocks.Counts{}) {
		t.Error("something was blocked all the same")
	}
	for want, req := range map[string]*fanoutv1.ListBlocksRequest{
		"address: give user_prefix or address": {UserPrefix: "u", Address: "10.0.0.1"},
		`address: "x" is neither`:              {Address: "x"},
		"page_size":                            {PageSize: -1},
		"page_token":                           {PageToken: "x"},
	} {
		_, err := c.ListBlocks(t.Context(), req)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// What cannot be kept is not done, and the caller is told so, and nothing of the disk.
func TestBlockWithAFullDisk(t *testing.T) {
	var log strings.Builder
	c, k, _ := dialBlocks(t, fullStore{}, slog.New(slog.NewTextHandler(&log, nil)))
	_, block := c.Block(t.Context(), &fanoutv1.BlockRequest{Users: []string{"42"}, IdempotencyKey: "k"})
	_, unblock := c.Unblock(t.Context(), &fanoutv1.UnblockRequest{Users: []string{"42"}})
	for _, err := range []error{block, unblock} {
		s := status.Convert(err)
		if s.Code() != codes.Unavailable || strings.Contains(s.Message(), "secret") || len(s.Details()) != 1 || s.Details()[0].(*errdetails.ErrorInfo).GetReason() != "DATA_DIR_FAILED" {
			t.Errorf("%v", err)
		}
	}
	if k.User("42") || strings.Count(log.String(), "no space left on device") != 2 {
		t.Errorf("logged: %s", &log)
	}
}

func TestNobodyCanBeBlocked(t *testing.T) {
	_, conn := dial(t, newMemHub(), Options{})
	c := fanoutv1.NewRegistryServiceClient(conn)
	for name, call := range map[string]func(context.Context) error{
		"Block": func(ctx context.Context) error {
			_, err := c.Block(ctx, &fanoutv1.BlockRequest{Users: []string{"42"}})
			return err
		},
		"Unblock": func(ctx context.Context) error {
			_, err := c.Unblock(ctx, &fanoutv1.UnblockRequest{Users: []string{"42"}})
			return err
		},
		"ListBlocks": func(ctx context.Context) error {
			_, err := c.ListBlocks(ctx, &fanoutv1.ListBlocksRequest{})
			return err
		},
	} {
		if err := call(t.Context()); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", name, err)
		}
	}
}
