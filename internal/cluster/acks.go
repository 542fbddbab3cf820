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
			return g.summary(), g.err
		case <-ctx.Done():
			return g.summary(), context.Cause(ctx)
		}
	}
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
		g.tell(q, &clusterv1.Message{Body: &clusterv1.Message_Continue{Continue: &clusterv1.Continue{Request: q.key.number}}})
	}
}

func cancelOf(q *request) *clusterv1.Message {
	return &clusterv1.Message{Body: &clusterv1.Message_Cancel{Cancel: &clusterv1.Cancel{Request: q.key.number}}}
}

func (g *gathering) tell(q *request, m *clusterv1.Message) { q.peer.post(mustMarshal(m)) }

// served is an EmitWithAck of a peer's that is under way here.
type served struct {
	cancel context.CancelFunc
	credit chan struct{} // holds one: the next results may be sent
}

// What one message of results may hold.
const (
	maxResults     = 256
	maxResultBytes = 256 << 10
)

// serveAcks sends an event of a peer's and returns when it is sent: so it keeps its
// place in the order of the link.
func (n *Node) serveAcks(ctx context.Context, p *peer, number uint64, m *clusterv1.AckRequest) {
	ctx, cancel := context.WithCancel(ctx)
	s := &served{cancel: cancel, credit: make(chan struct{}, 1)}
	if !p.begin(number, s) {
		cancel()
		p.answer(number, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
		return
	}
	sent, results, ended := make(chan int, 1), make(chan sio.AckResult, maxResults), make(chan struct{})
	var summary sio.AckSummary
	var err error
	n.serving.Go(func() {
		defer close(ended)
		summary, err = n.hub.EmitWithAck(ctx, sio.AckRequest{
			Emit: toEmit(m.GetEmit()), Timeout: time.Duration(m.GetTimeout()), MaxAcks: int(m.GetMaxAcks()),
			Sent: func(s sio.AckSummary) { sent <- s.Expected },
		}, func(r sio.AckResult) bool {
			select {
			case results <- r:
				return true
			case <-ctx.Done():
				return false
			}
		})
	})
	select {
	case expected := <-sent:
		p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Acks{Acks: &clusterv1.AckResults{Expected: count(expected)}}})
	case <-ended:
		select {
		case expected := <-sent: // nobody was there to answer
			p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Acks{Acks: &clusterv1.AckResults{Expected: count(expected)}}})
		default: // it was refused: there is no first answer that could be behind
			p.finish(number, s)
			p.answer(number, &clusterv1.Answer{Code: n.code(p, err)})
			return
		}
	}
	n.serving.Go(func() {
		defer p.finish(number, s)
		p.sendResults(ctx, number, s, results, ended)
		<-ended
		if ctx.Err() != nil {
			return // nobody waits for it
		}
		if err != nil {
			p.answer(number, &clusterv1.Answer{Code: n.code(p, err)})
			return
		}
		last := takeResults(results)
		for len(results) > 0 { // more than fits one message
			p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Acks{Acks: last}})
			select {
			case <-s.credit:
			case <-ctx.Done():
				return
			}
			last = takeResults(results)
		}
		last.Expected, last.Answered = count(summary.Expected), count(summary.Answered)
		last.TimedOut, last.Disconnected = count(summary.TimedOut), count(summary.Disconnected)
		p.answer(number, &clusterv1.Answer{Kind: &clusterv1.Answer_Acks{Acks: last}})
	})
}

// begin notes a request of the peer's; false: there are too many, or the peer is gone.
func (p *peer) begin(number uint64, s *served) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gone:
		return false
	default:
	}
	if len(p.served) >= maxServed || p.served[number] != nil {
		return false
	}
	p.served[number] = s
	return true
}

func (p *peer) finish(number uint64, s *served) {
	s.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.served, number)
}

// more lets the next results of a request be sent.
func (p *peer) more(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.served[number]; s != nil {
		select {
		case s.credit <- struct{}{}:
		default:
		}
	}
}

// cancel ends a request.
func (p *peer) cancel(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.served[number]; s != nil {
		s.cancel()
	}
}

// sendResults sends results as they come, one message for each that the peer takes,
// until the request has ended and what is left fits the last message.
func (p *peer) sendResults(ctx context.Context, number uint64, s *served, results chan sio.AckResult, ended <-chan struct{}) {
	for {
		select { // the first answer is taken by now, or the one before
		case <-s.credit:
		case <-ctx.Done():
			return
		}
		select {
		case r := <-results:
			m := takeResults(results, r)
			p.answer(number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Acks{Acks: m}})
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// takeResults returns a message of the results that are there, as many as fit.
func takeResults(results <-chan sio.AckResult, first ...sio.AckResult) *clusterv1.AckResults {
	m, bytes := &clusterv1.AckResults{}, 0
	add := func(r *sio.AckResult) {
		m.Results = append(m.Results, &clusterv1.AckResults_AckResult{
			Id: r.ConnectionID, Outcome: int32(r.Outcome), Args: r.Args, Attachments: r.Attachments, //nolint:gosec // an enum
		})
		bytes += len(r.Args)
		for _, a := range r.Attachments {
			bytes += len(a)
		}
	}
	for i := range first {
		add(&first[i])
	}
	for len(m.Results) < maxResults && bytes < maxResultBytes {
		select {
		case r := <-results:
			add(&r)
			continue
		default:
		}
		break
	}
	return m
}
