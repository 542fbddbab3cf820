package consumers

import (
	"slices"
	"sync"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
)

// peer is another node: what it holds for consumers of this node, and the other way round.
type peer struct {
	d     *Dispatcher
	epoch string
	name  string
	gone  chan struct{}
	once  sync.Once
	wake  chan struct{} // holds one: post has grown

	mu        sync.Mutex
	suspected bool
	facts     bool // what its groups authorise is known
	posted    []*clusterv1.ConsumerMessage
	news      []*clusterv1.ConsumerMessage // that it is back, until it has got them
	refused   bool                         // something posted was not sent: what is open with it begins anew
	served    map[uint64]*served           // its consumers, here
	over      []*clusterv1.ConsumerMessage
	watches   map[uint64]*watched       // its watchers, here
	members   map[uint64]topicMember    // its consumers that asked for topics, by the numbers of their subscriptions
	published map[uint64]*servedPublish // what it published and awaits answers to, of consumers here
}

// maxPosted bounds what waits to be sent to a peer: each is the consequence of something
// that a consumer did, or that was received.
const maxPosted = 100_000

// tellFacts tells the peer what groups authorise here.
func (p *peer) tellFacts() {
	facts := &clusterv1.Facts{}
	for group, namespaces := range p.d.local.Authorized() {
		facts.Groups = append(facts.Groups, &clusterv1.Facts_Group{Name: group, Authorized: namespaces})
	}
	p.post(&clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Facts{Facts: facts}})
}

func (p *peer) servedLocked() []*served {
	all := make([]*served, 0, len(p.served))
	for _, s := range p.served {
		all = append(all, s)
	}
	return all
}

// post sends a message after those before it, and does not wait. False: there are too many.
func (p *peer) post(m *clusterv1.ConsumerMessage) bool {
	p.mu.Lock()
	fits := len(p.posted) < maxPosted
	if fits {
		p.posted = append(p.posted, m)
	} else {
		p.refused = true
	}
	p.mu.Unlock()
	p.poke()
	return fits
}

func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// retryPause is how long a peer that refused something is left alone.
const retryPause = time.Second

// sendPosted sends what is posted, until the peer is gone. When something is refused,
// everything that is open with the peer begins anew, in a while.
func (p *peer) sendPosted() {
	for {
		messages, over, anew := p.takePosted()
		unsent := p.sendAll(messages)
		if anew || len(unsent) > 0 {
			p.giveUp(unsent)
			p.tellOverAgain(over)
			if !p.pause() {
				return
			}
			p.begin()
			continue
		}
		p.mu.Lock()
		p.news = nil
		p.mu.Unlock()
		for i, m := range over {
			if p.d.links.SendConsumer(p.epoch, m) != nil {
				p.tellOverAgain(over[i:])
				if !p.pause() {
					return
				}
				p.poke()
				break
			}
		}
		if len(messages)+len(over) > 0 {
			continue
		}
		select {
		case <-p.wake:
		case <-p.gone:
			return
		}
	}
}

// sendAll sends messages, and returns those from the first that was refused on. Calls and
// their results, and what becomes of publishes, may be refused: who waits is told, or hears
// nothing, and no other message follows from them.
func (p *peer) sendAll(messages []*clusterv1.ConsumerMessage) (unsent []*clusterv1.ConsumerMessage) {
	for i, m := range messages {
		err := p.d.links.SendConsumer(p.epoch, m)
		switch {
		case err == nil:
		case m.GetCall() != nil:
			p.d.calls.drop(m.GetCall().GetId())
		case m.GetPlaced() != nil, m.GetOutcome() != nil, m.GetPublishOver() != 0:
			p.d.log.Debug("what became of a publish was not told to another node", "node", p.name, "error", err)
		case m.GetResult() != nil:
			p.d.log.Debug("what another node asked for was not told to it", "node", p.name, "error", err)
		default:
			return messages[i:]
		}
	}
	return nil
}

// takePosted returns what is to be sent: of consumers here, then that subscriptions of
// its consumers are over, which is tried until the peer knows.
func (p *peer) takePosted() (messages, over []*clusterv1.ConsumerMessage, anew bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	messages, over, anew = p.posted, p.over, p.refused
	p.posted, p.over, p.refused = nil, nil, false
	return messages, over, anew
}

// giveUp ends what this node's consumers have at the peer, and the calls that are unsent.
func (p *peer) giveUp(unsent []*clusterv1.ConsumerMessage) {
	p.mu.Lock()
	unsent = append(unsent, p.posted...)
	p.posted = nil
	p.mu.Unlock()
	for _, m := range unsent {
		if m.GetCall() != nil {
			p.d.calls.drop(m.GetCall().GetId())
		}
	}
	p.d.mu.Lock()
	homes := p.d.homesLocked()
	p.d.mu.Unlock()
	for _, s := range homes {
		s.leave(p, false)
	}
}

// begin has this node's consumers be members at the peer anew.
func (p *peer) begin() {
	p.tellFacts() // some may have been among what was refused
	p.tellReturned()
	p.d.mu.Lock()
	homes := p.d.homesLocked()
	p.d.mu.Unlock()
	for _, s := range homes {
		s.join(p)
	}
}

// tellOver has the peer told, whenever it can be, that a subscription is over.
func (p *peer) tellOver(m *clusterv1.ConsumerMessage) {
	p.mu.Lock()
	p.over = append(p.over, m)
	p.mu.Unlock()
	p.poke()
}

// tellOverAgain puts back what could not be sent of that.
func (p *peer) tellOverAgain(unsent []*clusterv1.ConsumerMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = append(slices.Clone(unsent), p.over...)
}

// pause leaves the peer alone for a while; false: it is gone.
func (p *peer) pause() bool {
	select {
	case <-time.After(retryPause):
		return true
	case <-p.gone:
		return false
	}
}

// isSuspected reports whether the peer does not answer at present.
func (p *peer) isSuspected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.suspected
}

// isGone reports whether the peer is there no more.
func (p *peer) isGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}
