package cluster

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Backend returns what is to be the server's Backend in place of b: it tells b of a new
// connection when every node knows of its user and of the rooms that it was admitted
// to, so that what b does then at any node reaches them. A peer that does not confirm
// in time is not waited for.
func (n *Node) Backend(b sio.Backend) sio.Backend { return &backend{b, n} }

type backend struct {
	sio.Backend
	node *Node
}

// Connected implements sio.Backend.
func (b *backend) Connected(s *sio.Socket) {
	b.node.confirm(context.Background(), nil)
	b.Backend.Connected(s)
}
