package consumers

import (
	"slices"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/publish"
)

// What backends publish goes from the node of the publisher to every other, which hands it to
// the consumers whose home it is: holders only know which consumers there are, so that they
// can name them when their home does not answer.

// topicMember is a consumer of a peer that asked for topics.
type topicMember struct {
	publish.Member
	topics []string
}

// Publish hands a message to the consumers of all nodes. It returns when the message has its
// place behind what the caller published before, and waits only while too much is on its way
// to a node. Error: [publish.ErrBusy].
func (d *Dispatcher) Publish(r *publish.Request) (*publish.Publication, error) {
	var stop func() // of this node's
	id := d.publications.next()
	p, err := d.local.Topics().Begin(r, func(undone []string) {
		d.publications.over(id)
		for _, epoch := range undone {
			d.stopPublish(id, epoch, stop)
		}
	})
	if err != nil {
		return nil, err
	}
	peers := d.all()
	p.Add(d.opts.Epoch, "", nil)
	for _, peer := range peers {
		p.Add(peer.epoch, peer.name, peer.membersOf(r))
	}
	d.publications.add(id, p)
	stop = p.Here(d.opts.Epoch)
	for _, peer := range peers {
		m := fromRequest(id, r)
		if peer.isSuspected() || d.links.SendConsumer(peer.epoch, &clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Publish{Publish: m}}) != nil || peer.isGone() {
			p.Fail(peer.epoch)
		}
	}
	return p, nil
}

// stopPublish ends the waiting for what a node has not said.
func (d *Dispatcher) stopPublish(id uint64, epoch string, local func()) {
	if epoch == d.opts.Epoch {
		local()
		return
	}
	if p := d.peer(epoch); p != nil {
		p.post(&clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_PublishOver{PublishOver: id}})
	}
}

// servePublish hands what a peer publishes to this node's consumers.
func (d *Dispatcher) servePublish(p *peer, m *clusterv1.Publish) {
	r := toRequest(m)
	s := &servedPublish{peer: p, id: m.GetId()}
	if r.Timeout > 0 {
		p.mu.Lock()
		p.published[s.id] = s
		p.mu.Unlock()
	}
	asked, missing, stop := d.local.Topics().Deliver(r, s.tell)
	s.begun(len(asked), stop)
	placed := &clusterv1.Placed{Id: s.id}
	for _, member := range asked {
		placed.Asked = append(placed.Asked, fromMember(member))
	}
	for _, o := range missing {
		placed.Missing = append(placed.Missing, fromOutcome(0, &o))
	}
	p.post(&clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Placed{Placed: placed}})
}

// Published is as [dispatch.Subscription.Published]: what is published at another node comes
// to the home.
func (s *Subscription) Published() (publish.Delivery, bool) { return s.local.Published() }

// Answer is as [dispatch.Subscription.Answer]. It waits while too much is on its way to the
// publisher's node.
func (s *Subscription) Answer(id string, args []byte, attachments [][]byte) error {
	return s.local.Answer(id, args, attachments)
}

// PublishedTooLarge is as [dispatch.Subscription.PublishedTooLarge].
func (s *Subscription) PublishedTooLarge(id string) { s.local.PublishedTooLarge(id) }

// membersOf returns those of the peer's consumers that a message is for, as far as is known.
func (p *peer) membersOf(r *publish.Request) (members []publish.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		if r.Means(m.Member) && slices.Contains(m.topics, r.Topic) {
			members = append(members, m.Member)
		}
	}
	slices.SortFunc(members, publish.Compare)
	return members
}

// joins notes which topics a consumer of the peer's asked for, by the number of its
// subscription here.
func (p *peer) joins(number uint64, m *clusterv1.Subscribe) {
	member := publish.Member{Group: m.GetGroup(), ConsumerID: m.GetConsumerId()}
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, o := range p.members {
		if o.Member == member {
			delete(p.members, other)
		}
	}
	if len(m.GetTopics()) > 0 {
		p.members[number] = topicMember{member, m.GetTopics()}
	}
}

// joinsNoMore notes that a consumer gets nothing more that is published.
func (p *peer) joinsNoMore(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.members, number)
}

func fromRequest(id uint64, r *publish.Request) *clusterv1.Publish {
	m := &clusterv1.Publish{Id: id, Topic: r.Topic, Group: r.Group, Args: r.Args, Attachments: r.Attachments, Timeout: int64(r.Timeout), Traceparent: r.Traceparent}
	if r.Except != (publish.Member{}) {
		m.Except = fromMember(r.Except)
	}
	return m
}

func toRequest(m *clusterv1.Publish) *publish.Request {
	return &publish.Request{
		Message: publish.Message{Topic: m.GetTopic(), Args: m.GetArgs(), Attachments: m.GetAttachments(), Traceparent: m.GetTraceparent()},
		Group:   m.GetGroup(), Except: toMember(m.GetExcept()), Timeout: time.Duration(m.GetTimeout()),
	}
}

func fromMember(m publish.Member) *clusterv1.ConsumerName {
	return &clusterv1.ConsumerName{Group: m.Group, ConsumerId: m.ConsumerID}
}

func toMember(m *clusterv1.ConsumerName) publish.Member {
	return publish.Member{Group: m.GetGroup(), ConsumerID: m.GetConsumerId()}
}

func fromOutcome(id uint64, o *publish.Outcome) *clusterv1.PublishOutcome {
	return &clusterv1.PublishOutcome{Id: id, Consumer: fromMember(o.Member), Reason: int32(o.Reason), Args: o.Args, Attachments: o.Attachments} //nolint:gosec // an enum
}

func toOutcome(m *clusterv1.PublishOutcome) publish.Outcome {
	return publish.Outcome{Member: toMember(m.GetConsumer()), Reason: publish.Reason(m.GetReason()), Args: m.GetArgs(), Attachments: m.GetAttachments()}
}
