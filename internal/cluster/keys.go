package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// What is promised of keys stands at clusterv1.IdempotencyKey.

// How long a caller waits before it asks again what only time changes.
const (
	minKeyPause = 5 * time.Millisecond
	maxKeyPause = 250 * time.Millisecond
)

// Once returns apply's result, or that of the request that had this key before at any
// node; then duplicate is true. It waits for one that has the key at this moment, as long
// as that may take, and takes its place if that fails. Errors are apply's, [idempotency.ErrOtherContent],
// [sio.UnreachableError] for a node that would have to be asked or heard of, and that of ctx; but for
// apply's, nothing was done.
func (n *Node) Once(ctx context.Context, key idempotency.Key, print idempotency.Fingerprint, apply func() (sio.Result, error)) (result sio.Result, duplicate bool, err error) {
	began := time.Now()
	for pause := minKeyPause; ; pause = min(2*pause, maxKeyPause) {
		b, known := n.beginKey(ctx, key, print)
		switch known.state {
		case clusterv1.KeyAnswer_BEGUN:
			result, err = b.run(ctx, apply)
			return result, false, err
		case clusterv1.KeyAnswer_FINISHED:
			return known.result, true, nil
		case clusterv1.KeyAnswer_OTHER_CONTENT:
			return sio.Result{}, false, idempotency.ErrOtherContent
		case clusterv1.KeyAnswer_UNREACHABLE:
			return sio.Result{}, false, &sio.UnreachableError{Node: known.away}
		case clusterv1.KeyAnswer_NOT_OWNER: // nodes disagree about whose the key is
			if time.Since(began) > n.opts.AnswerTimeout {
				return sio.Result{}, false, &sio.UnreachableError{Node: known.away}
			}
		case clusterv1.KeyAnswer_IN_PROGRESS: // or done, and its owner does not hear of it
			if known.away != "" && time.Since(began) > n.opts.AnswerTimeout+n.opts.ConfirmTimeout {
				return sio.Result{}, false, &sio.UnreachableError{Node: known.away}
			}
		}
		select {
		case <-known.ended:
		case <-time.After(pause):
		case <-ctx.Done():
			return sio.Result{}, false, ctx.Err()
		}
	}
}

// keyKnown is what is known of a key; see clusterv1.KeyAnswer.
type keyKnown struct {
	state  clusterv1.KeyAnswer_State
	result sio.Result
	away   string          // the node that would have to be asked; in progress: at which it is, if not here
	ended  <-chan struct{} // of an attempt here that is in progress; may be nil
}

// beginning is an attempt that this node may make.
type beginning struct {
	node  *Node
	key   idempotency.Key
	print idempotency.Fingerprint

	attempt *idempotency.Attempt // of the table here, if this node owns the key
	owner   *peer                // who does, otherwise
	number  uint64               // of the request in which it was asked
}

// beginKey asks the owner of a key. The attempt is there if the state is BEGUN; the
// caller ends it then by run.
func (n *Node) beginKey(ctx context.Context, key idempotency.Key, print idempotency.Fingerprint) (*beginning, keyKnown) {
	b := &beginning{node: n, key: key, print: print}
	if b.owner = n.keeper(key, 0); b.owner == nil {
		a, known := n.beginHere(key, print)
		if a != nil {
			known = n.confirmBeginning(ctx, a, key, print)
		}
		b.attempt = a
		return b, known
	}
	m := keyMessage(key, print)
	m.GetKey().Kind = &clusterv1.IdempotencyKey_Begin_{Begin: &clusterv1.IdempotencyKey_Begin{}}
	answer, err := n.askOne(ctx, b.owner, m)
	b.number = m.GetRequest()
	switch code := answer.GetCode(); {
	case err == nil && answer.GetKey() != nil:
		known := keyKnown{state: answer.GetKey().GetState(), result: toKeyResult(answer.GetKey().GetResult()), away: answer.GetKey().GetUnreachable()}
		if known.state == clusterv1.KeyAnswer_NOT_OWNER {
			known.away = b.owner.name
		}
		return b, known
	case code == clusterv1.Answer_BUSY:
		return nil, keyKnown{state: clusterv1.KeyAnswer_NOT_OWNER, away: b.owner.name} // not now
	}
	b.fail() // the owner may have allowed it
	return nil, keyKnown{state: clusterv1.KeyAnswer_UNREACHABLE, away: b.owner.name}
}

// run carries out the attempt and tells of it who keeps the key.
func (b *beginning) run(ctx context.Context, apply func() (sio.Result, error)) (sio.Result, error) {
	succeeded := false
	defer func() { // of a panic too
		if !succeeded {
			b.fail()
		}
	}()
	result, err := apply()
	if err != nil {
		return result, err
	}
	succeeded = true
	b.finish(ctx, result)
	return result, nil
}

// fail gives up the attempt.
func (b *beginning) fail() {
	if b.owner == nil {
		b.attempt.Fail()
		return
	}
	m := keyMessage(b.key, b.print)
	m.GetKey().Kind = &clusterv1.IdempotencyKey_Failed_{Failed: &clusterv1.IdempotencyKey_Failed{Begin: b.number}}
	if text, err := marshal(m); err == nil {
		b.owner.post(text)
	}
}

// finish tells the owner and the second in the order, as they are now, and waits until
// they know, for a while: what was done is done, whether the caller waits or not. Who does
// not say that it knows is told once more, when it answers again.
func (b *beginning) finish(ctx context.Context, result sio.Result) {
	n := b.node
	var peers []*peer
	here := b.attempt != nil
	for rank := range 2 {
		if p := n.keeper(b.key, rank); p != nil {
			peers = append(peers, p)
		} else {
			here = true // if there is no second, this node is the first
		}
	}
	if b.owner != nil && !slices.Contains(peers, b.owner) && n.peer(b.owner.epoch) == b.owner {
		peers = append(peers, b.owner)
	}
	switch {
	case b.attempt != nil:
		b.attempt.Succeed(result)
	case here:
		n.keys.Keep(b.key, b.print, result)
	}
	if len(peers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.opts.ConfirmTimeout)
	defer cancel()
	m := keyMessage(b.key, b.print)
	m.GetKey().Kind = &clusterv1.IdempotencyKey_Finished_{Finished: &clusterv1.IdempotencyKey_Finished{Begin: b.number, Result: fromKeyResult(&result)}}
	var untold []*peer
	err := n.askAll(ctx, peers, m, func(p *peer, a *clusterv1.Answer) {
		if a == nil {
			untold = append(untold, p)
		}
	})
	if err != nil {
		return // an emit was sent, so all its text is UTF-8
	}
	m.Request = 0 // nobody waits
	for _, p := range untold {
		p.post(mustMarshal(m))
	}
}

// keeper returns who is first (0) or second (1) in the order of the key; nil: this node
// is, or nobody.
func (n *Node) keeper(key idempotency.Key, rank int) *peer {
	type scored struct {
		epoch string
		peer  *peer
		score uint64
	}
	score := func(epoch string) uint64 { return xxhash.Sum64String(epoch + key.Caller + "\x00" + key.Key) }
	before := func(a, b *scored) bool { return a.score > b.score || a.score == b.score && a.epoch < b.epoch }
	first := scored{epoch: n.opts.Self.Epoch, score: score(n.opts.Self.Epoch)}
	var second scored
	for _, p := range n.all() {
		s := scored{p.epoch, p, score(p.epoch)}
		switch {
		case before(&s, &first):
			first, second = s, first
		case second.epoch == "" || before(&s, &second):
			second = s
		}
	}
	if rank == 0 {
		return first.peer
	}
	return second.peer
}

func keyMessage(key idempotency.Key, print idempotency.Fingerprint) *clusterv1.Message {
	return &clusterv1.Message{Body: &clusterv1.Message_Key{Key: &clusterv1.IdempotencyKey{Caller: key.Caller, Key: key.Key, Fingerprint: print[:]}}}
}

func fromKeyResult(r *sio.Result) *clusterv1.KeyResult {
	return &clusterv1.KeyResult{Matched: count(r.Matched), Forwarded: count(r.Forwarded), Partial: r.Partial, Unreachable: r.Unreachable}
}

func toKeyResult(m *clusterv1.KeyResult) sio.Result {
	return sio.Result{
		Matched: int(m.GetMatched()), Forwarded: int(m.GetForwarded()),
		Coverage: sio.Coverage{Partial: m.GetPartial(), Unreachable: m.GetUnreachable()},
	}
}
