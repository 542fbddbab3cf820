package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// maxSubjects bounds the users and addresses of one request; the contract states it.
const maxSubjects = 1000

// Blocks is who may not connect, at all nodes. It is safe for concurrent use.
type Blocks interface {
	// Block is [blocks.Keeper.Block] at all nodes; Matched counts the connections that
	// ended.
	Block(ctx context.Context, c blocks.Change) (sio.Result, error)
	// Unblock is [blocks.Keeper.Unblock] at all nodes; Matched counts the blocks that
	// were in force at one of them.
	Unblock(ctx context.Context, c blocks.Change) (sio.Result, error)
	// BlockPage is [blocks.Table.Page] of this node, and names the nodes that do not
	// answer now.
	BlockPage(f blocks.Filter, after *blocks.Subject, limit int) (page []blocks.Entry, next *blocks.Subject, nodes sio.Coverage)
	// BlockedUser reports whether a user is blocked, as far as this node knows.
	BlockedUser(name string) bool
}

// BlocksOf returns those of k, which is all that there is.
func BlocksOf(k *blocks.Keeper) Blocks { return keptHere{k} }

type keptHere struct{ keeper *blocks.Keeper }

func (k keptHere) Block(_ context.Context, c blocks.Change) (result sio.Result, err error) {
	_, result.Matched, err = k.keeper.Block(c)
	return result, err
}

func (k keptHere) Unblock(_ context.Context, c blocks.Change) (result sio.Result, err error) {
	_, result.Matched, err = k.keeper.Unblock(c)
	return result, err
}

func (k keptHere) BlockPage(f blocks.Filter, after *blocks.Subject, limit int) (page []blocks.Entry, next *blocks.Subject, nodes sio.Coverage) {
	page, next = k.keeper.Page(f, after, limit)
	return page, next, nodes
}

func (k keptHere) BlockedUser(name string) bool { return k.keeper.User(name) }

// errNoBlocks is what a daemon answers that was made without.
var errNoBlocks = status.Error(codes.Unimplemented, "this daemon blocks nobody")

// subjectsMessage names users and addresses.
type subjectsMessage interface {
	GetUsers() []string
	GetAddresses() []string
	GetIdempotencyKey() string
}

// toSubjects reads the fields `users` and `addresses`; each subject is there once.
func toSubjects(p *problems, m subjectsMessage) (all []blocks.Subject) {
	switch n := len(m.GetUsers()) + len(m.GetAddresses()); {
	case n == 0:
		p.add("users", "give users or addresses")
	case n > maxSubjects:
		p.add("users", "%d users and addresses, but at most %d are allowed", n, maxSubjects)
		return nil
	}
	there := map[blocks.Subject]bool{}
	add := func(s blocks.Subject) {
		if !there[s] {
			there[s] = true
			all = append(all, s)
		}
	}
	for i, name := range m.GetUsers() {
		field := fmt.Sprintf("users[%d]", i)
		if name == "" {
			p.add(field, "must not be empty")
		}
		atMost(p, field, name, maxUser)
		add(blocks.Subject{User: name})
	}
	for i, text := range m.GetAddresses() {
		prefix, err := blocks.ParsePrefix(text)
		if err != nil {
			p.add(fmt.Sprintf("addresses[%d]", i), "%.64q %v", text, err)
			continue
		}
		add(blocks.Subject{Prefix: prefix})
	}
	return all
}

// changeOf reads what Block and Unblock have in common.
func changeOf(ctx context.Context, p *problems, m subjectsMessage) blocks.Change {
	return blocks.Change{Subjects: toSubjects(p, m), Caller: identity.FromContext(ctx).Name}
}

func (r *Registry) Block(ctx context.Context, req *fanoutv1.BlockRequest) (*fanoutv1.BlockResponse, error) {
	p := problemsOf(ctx, "")
	c := changeOf(ctx, &p, req)
	c.Until, c.Reason = toExpiry(&p, "until", req.GetUntil()), req.GetReason()
	if req.GetUntil() != nil && !c.Until.After(time.Now()) {
		p.add("until", "has passed")
	}
	atMost(&p, "reason", c.Reason, maxReason)
	a, err := r.changeBlocks(ctx, &p, "block", c, toKey(&p, req), Blocks.Block)
	if err != nil {
		return nil, err
	}
	return &fanoutv1.BlockResponse{Affected: count(a.Matched), Partial: a.Partial, Unreachable: a.Unreachable, Duplicate: a.duplicate}, nil
}

func (r *Registry) Unblock(ctx context.Context, req *fanoutv1.UnblockRequest) (*fanoutv1.UnblockResponse, error) {
	p := problemsOf(ctx, "")
	c := changeOf(ctx, &p, req)
	a, err := r.changeBlocks(ctx, &p, "unblock", c, toKey(&p, req), Blocks.Unblock)
	if err != nil {
		return nil, err
	}
	return &fanoutv1.UnblockResponse{Affected: count(a.Matched), Partial: a.Partial, Unreachable: a.Unreachable, Duplicate: a.duplicate}, nil
}

// changeBlocks carries out a change, which the message that p is about asks for, once for
// a key.
func (r *Registry) changeBlocks(ctx context.Context, p *problems, what string, c blocks.Change, key string, do func(Blocks, context.Context, blocks.Change) (sio.Result, error)) (a applied, err error) {
	switch {
	case p.any():
		return a, p.err()
	case r.blocks == nil:
		return a, errNoBlocks
	}
	apply := func() (sio.Result, error) { return do(r.blocks, ctx, c) }
	if key == "" {
		a.Result, err = apply()
	} else {
		a.Result, a.duplicate, err = r.keys.Once(ctx, idempotency.Key{Caller: c.Caller, Key: key}, fingerprintOfBlocks(what, &c), apply)
	}
	if err != nil {
		return a, r.blockError(ctx, p, err)
	}
	if !a.duplicate {
		r.logBlocks(ctx, what, &c, a.Matched)
	}
	return a, nil
}

// fingerprintOfBlocks covers all that a change does.
func fingerprintOfBlocks(what string, c *blocks.Change) (f idempotency.Fingerprint) {
	h := sha256.New()
	hashStrings(h, what)
	hashLen(h, len(c.Subjects))
	for _, s := range c.Subjects {
		hashStrings(h, s.Key())
	}
	hashStrings(h, c.Until.UTC().Format(time.RFC3339Nano), c.Reason)
	h.Sum(f[:0])
	return f
}

// blockError codes why a change was not made.
func (r *Registry) blockError(ctx context.Context, p *problems, err error) error {
	failed := (*blocks.StoreError)(nil)
	switch {
	case errors.Is(err, blocks.ErrTooMany):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.As(err, &failed):
		r.log.ErrorContext(ctx, "a change of who is blocked was not made: data-dir cannot be written", "error", failed.Err)
		return dataDirFailed.err("data-dir cannot be written: the daemon's log says why; nothing was done")
	}
	return hubError(err, p, "")
}

// logBlocks logs who changed what: without it, nothing but users' complaints would tell.
func (r *Registry) logBlocks(ctx context.Context, what string, c *blocks.Change, affected int) {
	var users, addresses []string
	for _, s := range c.Subjects {
		switch {
		case s.Prefix.IsValid() && len(addresses) < maxLoggedNames:
			addresses = append(addresses, s.Prefix.String())
		case !s.Prefix.IsValid() && len(users) < maxLoggedNames:
			users = append(users, s.User)
		}
	}
	args := []any{"change", what, "subjects", len(c.Subjects), "affected", affected}
	if len(users) > 0 {
		args = append(args, "users", users)
	}
	if len(addresses) > 0 {
		args = append(args, "addresses", addresses)
	}
	if !c.Until.IsZero() {
		args = append(args, "until", c.Until)
	}
	if c.Reason != "" {
		args = append(args, "reason", c.Reason)
	}
	if c.Caller != "" {
		args = append(args, "caller", c.Caller)
	}
	r.log.InfoContext(ctx, "a backend changed who is blocked", args...)
}

func (r *Registry) ListBlocks(ctx context.Context, req *fanoutv1.ListBlocksRequest) (*fanoutv1.ListBlocksResponse, error) {
	p := problemsOf(ctx, "")
	f := blocks.Filter{UserPrefix: req.GetUserPrefix()}
	if text := req.GetAddress(); text != "" {
		var err error
		if f.Within, err = blocks.ParseNetwork(text); err != nil {
			p.add("address", "%.64q %v", text, err)
		}
		if f.UserPrefix != "" {
			p.add("address", "give user_prefix or address, not both")
		}
	}
	size := toPageSize(&p, req.GetPageSize())
	list := newListing("blocks", f.UserPrefix, f.Within.String())
	var after *blocks.Subject
	if cursor := list.toCursor(&p, req.GetPageToken()); cursor != "" {
		s, err := blocks.SubjectOf(cursor)
		if err != nil {
			badToken(&p)
		}
		after = &s
	}
	switch {
	case p.any():
		return nil, p.err()
	case r.blocks == nil:
		return nil, errNoBlocks
	}
	page, next, nodes := r.blocks.BlockPage(f, after, size)
	resp := &fanoutv1.ListBlocksResponse{Blocks: make([]*fanoutv1.Block, len(page)), Unreachable: nodes.Unreachable}
	for i := range page {
		resp.Blocks[i] = fromBlock(&page[i])
	}
	if next != nil {
		resp.NextPageToken = list.token(next.Key())
	}
	return resp, nil
}

func fromBlock(e *blocks.Entry) *fanoutv1.Block {
	m := &fanoutv1.Block{Reason: e.Reason, BlockedAt: timestamppb.New(e.At()), Caller: e.Caller, Node: e.Stamp.Node}
	if e.Prefix.IsValid() {
		m.Subject = &fanoutv1.Block_Address{Address: e.Prefix.String()}
	} else {
		m.Subject = &fanoutv1.Block_UserId{UserId: e.User}
	}
	if !e.Until.IsZero() {
		m.Until = timestamppb.New(e.Until)
	}
	return m
}
