package cluster

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// What the peers want of this node.

// Receive implements link.Handler. What changes something is done before it returns, so
// that it happens in the order of the link; what takes longer goes on by itself.
func (h *handler) Receive(info link.Peer, message []byte) {
	n := (*Node)(h)
	p := n.peer(info.Epoch)
	if p == nil {
		return
	}
	m := &clusterv1.Message{}
	if err := proto.Unmarshal(message, m); err != nil {
		n.log.Error("a node sent what is no message", "node", p.name, "error", err)
		return
	}
	switch body := m.GetBody().(type) {
	case *clusterv1.Message_Answer:
		n.requests.answer(p.epoch, m.GetRequest(), body.Answer)
	case *clusterv1.Message_Operation:
		n.serveOperation(tracing.WithParent(context.Background(), m.GetTraceparent()), p, m.GetRequest(), body.Operation)
	case *clusterv1.Message_InterestChange:
		n.readInterest(p, p.interest.Change(body.InterestChange.GetSet(), body.InterestChange.GetCleared()))
	case *clusterv1.Message_InterestAll:
		n.readInterest(p, p.interest.Apply(body.InterestAll.GetSet()))
	case *clusterv1.Message_AckRequest:
		n.serveAcks(tracing.WithParent(context.Background(), m.GetTraceparent()), p, m.GetRequest(), body.AckRequest)
	case *clusterv1.Message_Watch:
		n.serveWatch(p, m.GetRequest(), body.Watch)
	case *clusterv1.Message_Continue:
		p.more(body.Continue.GetRequest())
	case *clusterv1.Message_Cancel:
		p.cancel(body.Cancel.GetRequest())
	case *clusterv1.Message_Consumer:
		n.receiveConsumer(p, body.Consumer)
	case *clusterv1.Message_Key:
		n.serveKey(p, m.GetRequest(), body.Key)
	case *clusterv1.Message_OfflineSession:
		n.serveOffline(p, m.GetRequest(), body.OfflineSession)
	case *clusterv1.Message_Drain:
		n.serveDrain(p, m.GetRequest(), body.Drain)
	case *clusterv1.Message_CloseSessions:
		n.serveCloseSessions(p, m.GetRequest(), body.CloseSessions)
	case *clusterv1.Message_Settings:
		n.compareSettings(p, body.Settings.GetValues())
	case *clusterv1.Message_BlockEntries:
		n.serveBlocks(p, m.GetRequest(), body.BlockEntries)
	case *clusterv1.Message_BlockPull:
		n.servePull(p, m.GetRequest(), body.BlockPull)
	case *clusterv1.Message_Query:
		n.serveQuery(p, m.GetRequest(), body.Query)
	default:
		p.answer(m.GetRequest(), &clusterv1.Answer{Code: clusterv1.Answer_UNSUPPORTED})
	}
}

// answer sends an answer, in the order of the calls, unless none is wanted. It never
// waits: a peer that takes none for so long has given up on them.
func (p *peer) answer(request uint64, a *clusterv1.Answer) {
	if request == 0 {
		return
	}
	text, err := marshal(&clusterv1.Message{Request: request, Body: &clusterv1.Message_Answer{Answer: a}})
	if err != nil {
		p.node.log.Error("an answer cannot be sent", "node", p.name, "error", err)
		text = mustMarshal(&clusterv1.Message{Request: request, Body: &clusterv1.Message_Answer{Answer: &clusterv1.Answer{Code: clusterv1.Answer_INTERNAL}}})
	}
	p.post(text)
}

// readInterest makes everything interest a peer whose interest cannot be read.
func (n *Node) readInterest(p *peer, err error) {
	if err != nil {
		n.log.Error("a node's interest cannot be read: it is sent everything", "node", p.name, "error", err)
		p.interest.All()
	}
}

// posted is a message for a peer, or nil, and who waits until it is with the links.
type posted struct {
	message []byte
	sent    chan<- struct{} // closed then; nil: nobody waits
}

// post sends a message after those before it, and does not wait.
func (p *peer) post(message []byte) {
	select {
	case p.answers <- posted{message: message}:
	default:
	}
}

// flush waits until what peers were told about connections that come back, and about the
// drain, is with the links, or ctx is done.
func (n *Node) flush(ctx context.Context) {
	for _, p := range n.all() {
		for range cap(p.awaited) { // once they are all taken, none is being answered
			select {
			case p.awaited <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		sent := make(chan struct{})
		select {
		case p.answers <- posted{sent: sent}:
		case <-p.gone:
			continue
		case <-ctx.Done():
			return
		}
		select {
		case <-sent:
		case <-p.gone:
		case <-ctx.Done():
			return
		}
	}
}

// sendAnswers sends what is posted, until the peer is gone.
func (p *peer) sendAnswers() {
	if !p.node.begun() {
		return
	}
	for {
		select {
		case m := <-p.answers:
			if m.message != nil {
				p.sendAnswer(m.message)
			}
			if m.sent != nil {
				close(m.sent)
			}
		case <-p.gone:
			return
		}
	}
}

// sendAnswer sends an answer. A peer that does not answer itself, as far as is known here,
// but asks: it has learned first that a cut is over. So it gets its answer once that is
// known here too, which is a moment later.
func (p *peer) sendAnswer(message []byte) {
	for errors.Is(p.node.send(context.Background(), p, message), link.ErrSuspected) {
		select {
		case <-p.back:
		case <-p.gone:
			return
		}
	}
}

// serveOperation carries out an operation of a peer's.
func (n *Node) serveOperation(ctx context.Context, p *peer, request uint64, m *clusterv1.Operation) {
	op, err := toOp(m)
	var result sio.Result
	if e, ok := op.(sio.Emit); ok {
		e.Origin = sio.Origin{Epoch: p.epoch, Number: m.GetEmit().GetNumber()}
		op = e
	}
	if err == nil {
		result, err = n.hub.Apply(ctx, op)
	}
	a := &clusterv1.Answer{Code: n.code(p, err), Kind: &clusterv1.Answer_Result{Result: &clusterv1.Result{Matched: count(result.Matched)}}}
	if err != nil || !adds(op) || request == 0 {
		p.answer(request, a)
		return
	}
	// Who asked hears of the rooms and users before it hears the answer.
	n.serving.Go(func() {
		a.Unconfirmed = n.confirm(context.Background(), p)
		p.answer(request, a)
	})
}

// code is an error for a peer; the log has what the peer is not told.
func (n *Node) code(p *peer, err error) clusterv1.Answer_Code {
	code := fromError(err)
	if code == clusterv1.Answer_INTERNAL {
		n.log.Error("what a node asked for failed", "node", p.name, "error", err)
	}
	return code
}

// maxPageBytes bounds a page of connections, whose data and rooms add up.
const maxPageBytes = 4 << 20

// serveQuery answers a question of a peer's, beside what else is going on.
func (n *Node) serveQuery(p *peer, request uint64, q *clusterv1.Query) {
	select {
	case p.slots <- struct{}{}:
	default:
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
		return
	}
	n.serving.Go(func() {
		defer func() { <-p.slots }()
		ctx, cancel := context.WithTimeout(context.Background(), n.opts.AnswerTimeout)
		defer cancel()
		a, err := n.look(ctx, q)
		if err != nil {
			a = &clusterv1.Answer{Code: n.code(p, err)}
		}
		p.answer(request, a)
	})
}

// look finds the answer to a question.
func (n *Node) look(ctx context.Context, q *clusterv1.Query) (*clusterv1.Answer, error) {
	to, limit := toTarget(q.GetTo()), int(q.GetLimit())
	switch kind := q.GetKind().(type) {
	case *clusterv1.Query_Connections:
		page, err := n.hub.Connections(ctx, to, q.GetCursor(), limit)
		if err != nil {
			return nil, err
		}
		return fromPage(page)
	case *clusterv1.Query_Connection:
		if len(to.IDs) != 1 {
			return nil, errUnsupported
		}
		c, err := n.hub.Connection(ctx, to.Namespace, to.IDs[0])
		if err != nil {
			return nil, err
		}
		return fromPage(sio.ConnectionPage{Connections: []sio.Connection{c}})
	case *clusterv1.Query_Count:
		counts, err := n.hub.Count(ctx, to, sio.GroupBy(kind.Count.GetBy()))
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Counts{Counts: fromCounts(&counts)}}, nil
	case *clusterv1.Query_Rooms:
		page, err := n.hub.Rooms(ctx, to.Namespace, sio.RoomFilter{Prefix: kind.Rooms.GetPrefix(), IDs: kind.Rooms.GetIds()}, q.GetCursor(), limit)
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Names{Names: fromNames(&page)}}, nil
	case *clusterv1.Query_Users:
		page, err := n.hub.Users(ctx, to.Namespace, kind.Users.GetPrefix(), q.GetCursor(), limit)
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Names{Names: fromNames(&page)}}, nil
	case *clusterv1.Query_Namespaces:
		page, err := n.hub.Namespaces(ctx, kind.Namespaces.GetPrefix(), q.GetCursor(), limit)
		if err != nil {
			return nil, err
		}
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Names{Names: fromNames(&page)}}, nil
	}
	return nil, errUnsupported
}

// fromPage is a page as it is sent, cut short if it is too large.
func fromPage(page sio.ConnectionPage) (*clusterv1.Answer, error) {
	m := &clusterv1.Connections{Next: page.Next}
	bytes := 0
	for i := range page.Connections {
		c, err := FromConnection(&page.Connections[i])
		if err != nil {
			return nil, err
		}
		if bytes += proto.Size(c); bytes > maxPageBytes && i > 0 {
			m.Next = page.Connections[i-1].Cursor
			break
		}
		m.Connections = append(m.Connections, c)
	}
	return &clusterv1.Answer{Kind: &clusterv1.Answer_Connections{Connections: m}}, nil
}
