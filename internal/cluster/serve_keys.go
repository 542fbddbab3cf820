package cluster

import (
	"context"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/idempotency"
)

// keyLease is how long a peer may take for what it has begun under a key: longer than until
// one that is cut off is either back, and says what became of it, or gone.
const keyLease = 90 * time.Second

// lease is what a peer has begun under a key of this node's.
type lease struct {
	attempt *idempotency.Attempt
	expiry  *time.Timer
}

// serveKey answers about a key. What takes longer goes on by itself.
func (n *Node) serveKey(p *peer, request uint64, m *clusterv1.IdempotencyKey) {
	key := idempotency.Key{Caller: m.GetCaller(), Key: m.GetKey()}
	var print idempotency.Fingerprint
	if copy(print[:], m.GetFingerprint()) != len(print) {
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_UNSUPPORTED})
		return
	}
	switch kind := m.GetKind().(type) {
	case *clusterv1.IdempotencyKey_Begin_:
		n.serveBegin(p, request, key, print)
	case *clusterv1.IdempotencyKey_Finished_:
		result := toKeyResult(kind.Finished.GetResult())
		if a := p.endLease(kind.Finished.GetBegin()); a != nil {
			a.Succeed(result)
		} else { // it was begun elsewhere, or took too long
			n.keys.Keep(key, print, result)
		}
		p.answerKey(request, keyKnown{state: clusterv1.KeyAnswer_FINISHED})
	case *clusterv1.IdempotencyKey_Failed_:
		if a := p.endLease(kind.Failed.GetBegin()); a != nil {
			a.Fail()
		}
	case *clusterv1.IdempotencyKey_Look_:
		p.answerKey(request, n.knownHere(key, print))
	default:
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_UNSUPPORTED})
	}
}

// serveBegin lets a peer begin, or says why it may not.
func (n *Node) serveBegin(p *peer, request uint64, key idempotency.Key, print idempotency.Fingerprint) {
	a, known := n.beginHere(key, print)
	if a == nil {
		p.answerKey(request, known)
		return
	}
	if !p.addLease(request, a) {
		a.Fail()
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
		return
	}
	if !n.keysMoved() {
		p.answerKey(request, known)
		return
	}
	n.serving.Go(func() {
		known := n.confirmBeginning(context.Background(), a, key, print)
		if known.state != clusterv1.KeyAnswer_BEGUN {
			p.endLease(request) // the attempt has ended
		}
		p.answerKey(request, known)
	})
}

func (p *peer) answerKey(request uint64, known keyKnown) {
	a := &clusterv1.KeyAnswer{State: known.state, Unreachable: known.away}
	if known.state == clusterv1.KeyAnswer_FINISHED {
		a.Result = fromKeyResult(&known.result)
	}
	p.answer(request, &clusterv1.Answer{Kind: &clusterv1.Answer_Key{Key: a}})
}

// beginHere begins an attempt if this node owns the key and does not know it. The caller
// ends it, and confirms it before.
func (n *Node) beginHere(key idempotency.Key, print idempotency.Fingerprint) (*idempotency.Attempt, keyKnown) {
	if n.keeper(key, 0) != nil {
		return nil, keyKnown{state: clusterv1.KeyAnswer_NOT_OWNER, away: n.opts.Self.Name}
	}
	a, mine, err := n.keys.Begin(key, print)
	if mine {
		return a, keyKnown{state: clusterv1.KeyAnswer_BEGUN}
	}
	known := knownOf(a, err)
	if known.state == clusterv1.KeyAnswer_IN_PROGRESS {
		known.away = n.leased(a)
	}
	return nil, known
}

// leased returns the name of the peer that has begun an attempt; empty: this node has.
func (n *Node) leased(a *idempotency.Attempt) string {
	for _, p := range n.all() {
		if p.hasLease(a) {
			return p.name
		}
	}
	return ""
}

// knownHere is what this node's table has of a key.
func (n *Node) knownHere(key idempotency.Key, print idempotency.Fingerprint) keyKnown {
	return knownOf(n.keys.Find(key, print))
}

func knownOf(a *idempotency.Attempt, err error) keyKnown {
	switch {
	case err != nil:
		return keyKnown{state: clusterv1.KeyAnswer_OTHER_CONTENT}
	case a == nil:
		return keyKnown{}
	}
	select {
	case <-a.Ended():
		if result, ok := a.Result(); ok {
			return keyKnown{state: clusterv1.KeyAnswer_FINISHED, result: result}
		}
	default:
	}
	return keyKnown{state: clusterv1.KeyAnswer_IN_PROGRESS, ended: a.Ended()}
}

// keysMoved reports whether keys that this node owns may be known elsewhere only: a node
// that joins owns keys that others know.
func (n *Node) keysMoved() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.joined.IsZero() && time.Since(n.joined) < idempotency.TTL
}

// confirmBeginning asks all peers for the key, if they may know it. Unless nobody does,
// it ends the attempt.
func (n *Node) confirmBeginning(ctx context.Context, a *idempotency.Attempt, key idempotency.Key, print idempotency.Fingerprint) keyKnown {
	known := keyKnown{}
	if n.keysMoved() {
		known = n.lookForKey(ctx, key, print)
	}
	switch known.state {
	case clusterv1.KeyAnswer_UNKNOWN:
		known.state = clusterv1.KeyAnswer_BEGUN
	case clusterv1.KeyAnswer_FINISHED:
		a.Succeed(known.result)
	default:
		a.Fail()
	}
	return known
}

// lookForKey asks all peers for a key, for half the time that who asked this node waits.
func (n *Node) lookForKey(ctx context.Context, key idempotency.Key, print idempotency.Fingerprint) keyKnown {
	ctx, cancel := context.WithTimeout(ctx, n.opts.AnswerTimeout/2)
	defer cancel()
	m := keyMessage(key, print)
	m.GetKey().Kind = &clusterv1.IdempotencyKey_Look_{Look: &clusterv1.IdempotencyKey_Look{}}
	var known keyKnown
	err := n.askAll(ctx, n.all(), m, func(p *peer, answer *clusterv1.Answer) {
		k := answer.GetKey()
		if k == nil {
			k = &clusterv1.KeyAnswer{State: clusterv1.KeyAnswer_UNREACHABLE, Unreachable: p.name}
		}
		if weight(k.GetState()) > weight(known.state) {
			known = keyKnown{state: k.GetState(), result: toKeyResult(k.GetResult()), away: k.GetUnreachable()}
		}
	})
	if err != nil { // text that no node could be asked about
		known = keyKnown{state: clusterv1.KeyAnswer_UNREACHABLE, away: n.opts.Self.Name}
	}
	return known
}

// weight says which of several nodes' answers counts.
func weight(s clusterv1.KeyAnswer_State) int {
	switch s {
	case clusterv1.KeyAnswer_FINISHED:
		return 4
	case clusterv1.KeyAnswer_OTHER_CONTENT:
		return 3
	case clusterv1.KeyAnswer_IN_PROGRESS:
		return 2
	case clusterv1.KeyAnswer_UNREACHABLE:
		return 1
	}
	return 0
}

// addLease notes what the peer has begun; false: it is too much, or the peer is gone.
func (p *peer) addLease(number uint64, a *idempotency.Attempt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isGone() || len(p.leases) >= maxServed || p.leases[number] != nil {
		return false
	}
	p.leases[number] = &lease{a, time.AfterFunc(keyLease, func() {
		if a := p.endLease(number); a != nil {
			a.Fail()
		}
	})}
	return true
}

func (p *peer) hasLease(a *idempotency.Attempt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.leases {
		if l.attempt == a {
			return true
		}
	}
	return false
}

// endLease returns the attempt of a lease that was there, for the caller to end.
func (p *peer) endLease(number uint64) *idempotency.Attempt {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.leases[number]
	if l == nil {
		return nil
	}
	delete(p.leases, number)
	l.expiry.Stop()
	return l.attempt
}

// endLeases ends all that the peer has begun: it is gone.
func (p *peer) endLeases() {
	p.mu.Lock()
	leases := p.leases
	p.leases = nil
	p.mu.Unlock()
	for _, l := range leases {
		l.expiry.Stop()
		l.attempt.Fail()
	}
}
