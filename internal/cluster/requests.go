package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
)

// errUnreachable: a peer has not answered in time, or does not at present.
var errUnreachable = errors.New("cluster: a node did not answer")

// requests are this node's requests to peers that are under way.
type requests struct {
	number     atomic.Uint64 // of the latest
	unanswered atomic.Uint64 // that none came to, or not in time

	mu      sync.Mutex
	pending map[requestKey]*request
}

type requestKey struct {
	epoch  string
	number uint64
}

// request is one request to one peer.
type request struct {
	owner *requests
	key   requestKey
	peer  *peer
	// answers holds two: the first of several, and the one that a Continue asked for.
	answers chan *clusterv1.Answer
	failed  chan struct{} // closed when no answer comes any more
}

// add notes that the peer is asked. The caller closes the request.
func (r *requests) add(p *peer, number uint64) *request {
	q := &request{owner: r, key: requestKey{p.epoch, number}, peer: p, answers: make(chan *clusterv1.Answer, 2), failed: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending[q.key] = q
	return q
}

// close forgets the request: later answers are ignored.
func (q *request) close() {
	q.owner.mu.Lock()
	defer q.owner.mu.Unlock()
	delete(q.owner.pending, q.key)
}

// answer hands an answer to who waits for it. It never blocks.
func (r *requests) answer(epoch string, number uint64, a *clusterv1.Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := requestKey{epoch, number}
	q := r.pending[key]
	if q == nil {
		return
	}
	select {
	case q.answers <- a:
	default: // more than it may send
		r.failLocked(q)
	}
}

// fail ends the waiting for answers of a peer.
func (r *requests) fail(p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, q := range r.pending {
		if key.epoch == p.epoch {
			r.failLocked(q)
		}
	}
}

func (r *requests) failLocked(q *request) {
	delete(r.pending, q.key)
	close(q.failed)
}

// next returns the next answer, or errUnreachable if none comes until ctx is done.
func (q *request) next(ctx context.Context) (*clusterv1.Answer, error) {
	select {
	case a := <-q.answers:
		return a, nil
	default:
	}
	select {
	case a := <-q.answers:
		return a, nil
	case <-q.failed:
	case <-ctx.Done():
	}
	select { // it came first
	case a := <-q.answers:
		return a, nil
	default:
		if !errors.Is(ctx.Err(), context.Canceled) { // then the caller did not wait
			q.owner.unanswered.Add(1)
		}
		return nil, errUnreachable
	}
}

// send sends a message to a peer. It waits while too much is on its way there, and until
// the node has started: a peer may ask before that.
func (n *Node) send(ctx context.Context, p *peer, message []byte) error {
	if !n.begun() {
		return errUnreachable
	}
	_, err := n.mesh.Send(ctx, p.epoch, message)
	return err
}

// marshal encodes a message. It fails on text that is no UTF-8.
func marshal(m *clusterv1.Message) ([]byte, error) { return proto.Marshal(m) }

// ask sends one request to each of the peers. Those that cannot be asked have a
// request that has failed. The caller closes them all.
func (n *Node) ask(ctx context.Context, peers []*peer, m *clusterv1.Message) ([]*request, error) {
	m.Request = n.requests.number.Add(1)
	text, err := marshal(m)
	if err != nil {
		return nil, err
	}
	asked := make([]*request, len(peers))
	for i, p := range peers {
		asked[i] = n.requests.add(p, m.Request)
		if p.suspected.Load() || n.send(ctx, p, text) != nil {
			n.requests.giveUp(asked[i])
		}
	}
	return asked, nil
}

// giveUp fails a request, if it has not failed.
func (r *requests) giveUp(q *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[q.key] == q {
		r.failLocked(q)
	}
}

// askOne asks one peer for one answer, in the time there is. The error is
// errUnreachable, or what the peer answered.
func (n *Node) askOne(ctx context.Context, p *peer, m *clusterv1.Message) (*clusterv1.Answer, error) {
	ctx, cancel := n.answerTime(ctx)
	defer cancel()
	asked, err := n.ask(ctx, []*peer{p}, m)
	if err != nil {
		return nil, err
	}
	defer asked[0].close()
	a, err := asked[0].next(ctx)
	if err != nil {
		return nil, err
	}
	return a, toError(a.GetCode())
}

// askAll asks the peers for one answer each and calls take with each, or with nil for
// one that did not answer in time; one call at a time, in the order of the peers.
func (n *Node) askAll(ctx context.Context, peers []*peer, m *clusterv1.Message, take func(p *peer, a *clusterv1.Answer)) error {
	if len(peers) == 0 {
		return nil
	}
	answers, err := n.askAllLater(ctx, peers, m)
	if err != nil {
		return err
	}
	answers(take)
	return nil
}

// askAllLater is askAll that returns when the links have the requests. The time for the
// answers runs from then on; answers, which is to be called once, waits for them.
func (n *Node) askAllLater(ctx context.Context, peers []*peer, m *clusterv1.Message) (answers func(take func(p *peer, a *clusterv1.Answer)), err error) {
	ctx, cancel := n.answerTime(ctx)
	requests, err := n.ask(ctx, peers, m)
	if err != nil {
		cancel()
		return nil, err
	}
	return func(take func(p *peer, a *clusterv1.Answer)) {
		defer cancel()
		for _, q := range requests {
			a, err := q.next(ctx)
			if err != nil {
				a = nil
			}
			take(q.peer, a)
			q.close()
		}
	}, nil
}

// keptForAnswer is what is kept of a caller's deadline to tell it what there is by then.
const keptForAnswer = 100 * time.Millisecond

// answerTime returns a context for as long as answers are awaited.
func (n *Node) answerTime(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := n.opts.AnswerTimeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		limit = min(limit, max(left-keptForAnswer, left/2))
	}
	return context.WithTimeout(ctx, limit)
}
