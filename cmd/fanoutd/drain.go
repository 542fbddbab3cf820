package main

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// counts is what those who follow the drain are told.
func (d *daemon) counts() drain.Counts {
	return drain.Counts{Sessions: d.sockets.OpenSessions(), Connections: d.sockets.Stats().Connections, Closed: d.sockets.Drained()}
}

// drainNode begins the drain of the node of this name, empty for this one, and follows it;
// see [control.Options.Drain].
func (d *daemon) drainNode(ctx context.Context, node string, o drain.Overrides, yield func(drain.Progress) error) error {
	if node != "" && node != d.config.cluster.node {
		if d.node == nil {
			return sio.ErrNotFound
		}
		return d.node.Drain(ctx, node, o, yield)
	}
	d.drain.Begin(o)
	return d.drain.Follow(ctx, yield)
}
