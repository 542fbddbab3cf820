package cluster

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// EmitWithAck sends one event to connections here and at the peers, and calls yield, on
// the caller's goroutine, with what becomes of each. A peer that is lost meanwhile, or
// could not be asked, is in the summary's Unreachable: what its connections did is not
// known. See [sio.Server.EmitWithAck].
func (n *Node) EmitWithAck(ctx context.Context, o sio.AckRequest, yield func(sio.AckResult) bool) (sio.AckSummary, error) {
	peers := n.interested(&o.Emit.To)
	if len(peers) == 0 {
		return n.hub.EmitWithAck(ctx, o, yield)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := &gathering{node: n, ctx: ctx, results: make(chan sio.AckResult), placed: make(chan struct{}), sent: make(chan struct{})}
	ended := make(chan struct{})
	defer func() { cancel(); <-ended }()
	go func() {
		defer close(ended)
		g.run(o, peers)
	}()
	if g.awaitSent(ended, min(maxSentWait, o.Timeout/4)) && o.Sent != nil {
		o.Sent(g.summary())
	}
	for {
		select {
		case r := <-g.results:
			g.note(r.Outcome)
			if !yield(r) {
				return g.summary(), nil
			}
			if s := g.summary(); o.MaxAcks > 0 && s.Answered >= o.MaxAcks {
				return g.summary(), nil
			}
		case <-ended:
			if err := context.Cause(ctx); g.err == nil && err != nil { // which may be why
				return g.summary(), err
			}
			return g.summary(), g.err
		case <-ctx.Done():
			return g.summary(), context.Cause(ctx)
		}
	}
}

// Call is [sio.Server.Call] of a connection here; if a peer may have it, that is
// [sio.ErrElsewhere], and EmitWithAck asks it.
func (n *Node) Call(ctx context.Context, o sio.AckRequest, done func(sio.AckResult)) (cancel func(), err error) {
	if len(n.interested(&o.Emit.To)) > 0 {
		return nil, sio.ErrElsewhere
	}
	return n.hub.Call(ctx, o, done)
}

// maxSentWait is how long the outcomes of an EmitWithAck wait, at most, for the peers to say
// how many were asked.
const maxSentWait = time.Second

// awaitSent waits until it is known how many were asked, or long enough; false: that will
// not be known, since there was an error, or ctx has ended. ended is closed when run returns.
func (g *gathering) awaitSent(ended <-chan struct{}, long time.Duration) bool {
	select {
	case <-g.placed:
	case <-ended:
		return g.isPlaced()
	case <-g.ctx.Done():
		return false
	}
	timer := time.NewTimer(max(long, 1))
	defer timer.Stop()
	select {
	case <-g.sent:
	case <-timer.C:
	case <-g.ctx.Done():
	}
	return true
}

func (g *gathering) isPlaced() bool {
	select {
	case <-g.placed:
		return true
	default:
		return false
	}
}

// gathering is one EmitWithAck over several nodes.
type gathering struct {
	node    *Node
	ctx     context.Context
	results chan sio.AckResult
	sent    chan struct{} // closed when every node has said how many it asked, or is lost
	err     error         // of this node's part; set before run returns
	busy    atomic.Bool   // a peer had too much to do to ask anybody
	placed  chan struct{} // closed when the links to the peers have it

	mu    sync.Mutex
	total sio.AckSummary
}

func (g *gathering) summary() sio.AckSummary {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// note counts an outcome that is yielded.
func (g *gathering) note(outcome sio.Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch outcome {
	case sio.Answered:
		g.total.Answered++
	case sio.TimedOut:
		g.total.TimedOut++
	case sio.Disconnected:
		g.total.Disconnected++
	}
}

func (g *gathering) expect(connections int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total.Expected += connections
}

func (g *gathering) miss(p *peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total.Miss(p.name)
}

// yield hands a result over; false: nobody wants it any more.
func (g *gathering) yield(r sio.AckResult) bool {
	select {
	case g.results <- r:
		return true
	case <-g.ctx.Done():
		return false
	}
}

// run awaits the answers of all nodes. The event is checked here before any peer
// gets it.
func (g *gathering) run(o sio.AckRequest, peers []*peer) {
	var asking, here sync.WaitGroup
	asking.Add(1) // until all are asked
	placed := o.Placed
	o.Placed = nil
	o.Sent = func(s sio.AckSummary) {
		g.expect(s.Expected)
		m := &clusterv1.Message{Traceparent: tracing.Parent(g.ctx), Body: &clusterv1.Message_AckRequest{AckRequest: &clusterv1.AckRequest{
			Emit: fromEmit(&o.Emit), Timeout: int64(o.Timeout), MaxAcks: count(o.MaxAcks),
		}}}
		requests, err := g.node.ask(g.ctx, peers, m)
		if err != nil {
			g.err = err
		}
		for _, q := range requests {
			asking.Add(1)
			here.Go(func() { g.await(q, o.Timeout, asking.Done) })
		}
		close(g.placed)
		if placed != nil {
			placed()
		}
		asking.Done()
	}
	here.Go(func() { asking.Wait(); close(g.sent) })
	if _, err := g.node.hub.EmitWithAck(g.ctx, o, g.yield); err != nil && g.err == nil {
		g.err = err
	}
	if !g.isPlaced() {
		asking.Done()
	}
	here.Wait()
	if g.err == nil && g.busy.Load() && g.summary().Expected == 0 {
		g.err = sio.ErrBusy // nobody was asked
	}
}

// await takes a peer's results until its last, and says once how many it asked.
func (g *gathering) await(q *request, timeout time.Duration, sent func()) {
	defer q.close()
	var once sync.Once
	defer once.Do(sent)
	ctx, cancel := context.WithTimeout(g.ctx, timeout+g.node.opts.AnswerTimeout)
	defer cancel()
	for first := true; ; first = false {
		a, err := q.next(ctx)
		if err == nil {
			err = toError(a.GetCode())
		}
		if err != nil {
			switch {
			case g.ctx.Err() != nil:
			case first && errors.Is(err, sio.ErrUnknownNamespace): // it serves others than this node
			case first && errors.Is(err, sio.ErrBusy):
				g.busy.Store(true)
				g.miss(q.peer)
			default:
				g.miss(q.peer)
			}
			g.tell(q, cancelOf(q))
			return
		}
		if first {
			g.expect(int(a.GetAcks().GetExpected()))
			once.Do(sent)
		}
		for _, r := range a.GetAcks().GetResults() {
			if !g.yield(sio.AckResult{ConnectionID: r.GetId(), Outcome: sio.Outcome(r.GetOutcome()), Args: r.GetArgs(), Attachments: r.GetAttachments()}) {
				g.tell(q, cancelOf(q))
				return
			}
		}
		if !a.GetMore() {
			return
		}
		g.tell(q, continueOf(q))
	}
}

func (g *gathering) tell(q *request, m *clusterv1.Message) { q.peer.post(mustMarshal(m)) }
