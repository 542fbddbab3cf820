package cluster

import (
	"context"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
)

// served is a request of a peer's that is under way here and answered by several messages:
// an EmitWithAck, or a watch.
type served struct {
	cancel context.CancelFunc
	credit chan struct{} // holds one: the next message may be sent
}

// begin notes a request of the peer's; false: there are too many, or the peer is gone.
func (p *peer) begin(number uint64, s *served) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isGone() || len(p.served) >= maxServed || p.served[number] != nil {
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

// more lets the next message of a request's be sent.
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

func cancelOf(q *request) *clusterv1.Message {
	return &clusterv1.Message{Body: &clusterv1.Message_Cancel{Cancel: &clusterv1.Cancel{Request: q.key.number}}}
}

func continueOf(q *request) *clusterv1.Message {
	return &clusterv1.Message{Body: &clusterv1.Message_Continue{Continue: &clusterv1.Continue{Request: q.key.number}}}
}
