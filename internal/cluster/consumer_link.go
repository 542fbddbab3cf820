package cluster

import (
	"context"

	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
)

// Consumers hears of the other nodes, and what their dispatchers say to this one's. Calls
// for one node come one at a time, in order, and must not wait.
type Consumers interface {
	Joined(epoch, name string)
	Changed(epoch string, suspected bool)
	Receive(epoch string, m *clusterv1.ConsumerMessage)
	Gone(epoch string)
	// Settled waits, but not past ctx, until consumers have settled what a connection of
	// this node did, that was cut off.
	Settled(ctx context.Context, connectionID string)
}

// SetConsumers says who that is, before Start.
func (n *Node) SetConsumers(c Consumers) { n.consumers = c }

// SendConsumer sends a message to the Consumers of the node with this epoch, after what
// was sent before. It waits for a while if too much is on its way; its errors are those
// of [link.Mesh.Send], after which nothing was sent.
func (n *Node) SendConsumer(epoch string, m *clusterv1.ConsumerMessage) error {
	if !n.begun() {
		return errUnreachable
	}
	inner, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	text, err := marshal(&clusterv1.Message{Body: &clusterv1.Message_Consumer{Consumer: inner}})
	if err != nil {
		return err
	}
	_, err = n.mesh.Send(context.Background(), epoch, text)
	return err
}

// receiveConsumer hands a message to the Consumers.
func (n *Node) receiveConsumer(p *peer, text []byte) {
	m := &clusterv1.ConsumerMessage{}
	if err := proto.Unmarshal(text, m); err != nil {
		n.log.Error("a node sent what is no message", "node", p.name, "error", err)
		return
	}
	if n.consumers != nil {
		n.consumers.Receive(p.epoch, m)
	}
}
