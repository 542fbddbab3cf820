package consumers

import (
	"sync"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/publish"
)

// publications are this node's publishes that other nodes have not said all of.
type publications struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]*publish.Publication
}

// next returns the number of the next publish.
func (s *publications) next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return s.last
}

// add has what other nodes say of a publish go to it, until it is over.
func (s *publications) add(id uint64, p *publish.Publication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[id] = p
}

func (s *publications) over(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
}

func (s *publications) get(id uint64) *publish.Publication {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[id]
}

// placed takes whom a node has asked.
func (s *publications) placed(epoch string, m *clusterv1.Placed) {
	p := s.get(m.GetId())
	if p == nil {
		return
	}
	var asked []publish.Member
	for _, c := range m.GetAsked() {
		asked = append(asked, toMember(c))
	}
	var missing []publish.Outcome
	for _, o := range m.GetMissing() {
		missing = append(missing, toOutcome(o))
	}
	p.Placed(epoch, asked, missing)
}

// outcome takes what became of a publish for one consumer.
func (s *publications) outcome(epoch string, m *clusterv1.PublishOutcome) {
	if p := s.get(m.GetId()); p != nil {
		p.Outcome(epoch, toOutcome(m))
	}
}

// fail ends the waiting for a node.
func (s *publications) fail(epoch string) {
	s.mu.Lock()
	var all []*publish.Publication
	for _, p := range s.open {
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		p.Fail(epoch)
	}
}

// servedPublish is a publish of a peer whose answers are awaited of consumers here.
type servedPublish struct {
	peer *peer
	id   uint64

	mu    sync.Mutex
	left  int // outcomes; below 0 before it is known how many there will be
	stop  func()
	ended bool
}

// begun says how many outcomes there will be, and what ends the waiting for them.
func (s *servedPublish) begun(outcomes int, stop func()) {
	s.mu.Lock()
	s.left += outcomes
	s.stop = stop
	over, ended := s.left == 0, s.ended
	s.mu.Unlock()
	if ended {
		stop()
	}
	if over {
		s.peer.forgetPublish(s.id)
	}
}

// tell tells the peer of an outcome. An answer, which may be large, waits while too much is
// on its way; one that is refused then does not come, and is late for the publisher.
func (s *servedPublish) tell(o publish.Outcome) {
	m := &clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Outcome{Outcome: fromOutcome(s.id, &o)}}
	if o.Reason != publish.Answered {
		s.peer.post(m)
	} else if err := s.peer.d.links.SendConsumer(s.peer.epoch, m); err != nil {
		s.peer.d.log.Debug("an answer to another node's publish was not told to it", "node", s.peer.name, "error", err)
	}
	s.mu.Lock()
	s.left--
	over := s.left == 0 && s.stop != nil
	s.mu.Unlock()
	if over {
		s.peer.forgetPublish(s.id)
	}
}

func (s *servedPublish) end() {
	s.mu.Lock()
	stop := s.stop
	s.ended = true
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func (p *peer) forgetPublish(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.published, id)
}

// publishOver ends the waiting for answers to a publish of the peer's.
func (p *peer) publishOver(id uint64) {
	p.mu.Lock()
	s := p.published[id]
	delete(p.published, id)
	p.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// publishesOver ends that for all: the peer has given them up.
func (p *peer) publishesOver() {
	p.mu.Lock()
	all := p.published
	p.published = map[uint64]*servedPublish{}
	p.mu.Unlock()
	for _, s := range all {
		s.end()
	}
}
