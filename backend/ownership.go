package backend

import (
	"context"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Assigned is a connection that a [Consumer] owns: it gets the connection's events.
type Assigned struct {
	Conn // of one whose Connection is nil the ID alone

	// Connection is all that is known about it, or was at its end if it has ended and
	// something of it is left to be handled. Nil if that is more than
	// ConsumerOptions.MaxMessageBytes.
	Connection *fanoutv1.Connection
}

// aside is what a delivery is that is not to be settled.
type aside int

const (
	anEvent    aside = iota // it is to be settled
	becomesOwn              // the connection is owned from now on
	ownNoMore
	changed   // by others
	published // a message of another backend
)

// OnAssigned registers the handler for connections that the consumer owns from now on:
// all of its namespaces that it is to handle the events of, at the start, after a
// lost stream, and when they come or move to it. It runs before the handlers of whatever
// the connection does next, and these wait for it. A question of OnConnecting comes
// before it.
func (c *Consumer) OnAssigned(h func(ctx context.Context, a *Assigned)) { c.assigned = h }

// OnChanged registers the handler for connections that the consumer owns and somebody else
// has changed: their rooms, data, user or expiry. It is told what they are now, of several
// changes maybe the last alone, between OnAssigned and OnReleased. Somebody else is whoever
// does not use [Consumer.Commands]; what these change by ids alone is not told, unless what
// others change meanwhile is.
func (c *Consumer) OnChanged(h func(ctx context.Context, a *Assigned)) { c.changed = h }

// Commands opens a stream of commands that are the consumer's own, as OnChanged says. It
// ends as that of [Client.Commands].
func (c *Consumer) Commands(ctx context.Context) *Commands {
	return c.client.commands(ctx, &fanoutv1.ExecuteRequest_Open{Group: c.opts.Group, ConsumerId: c.opts.ID})
}

// OnReleased registers the handler for connections that the consumer owns no more: it is
// called once after each OnAssigned, when what the connection did here has been handled:
// it has ended and OnDisconnect has returned, it has moved to another member, which may
// have been told before, the stream is lost, or Run ends.
func (c *Consumer) OnReleased(h func(Conn)) { c.released = h }

// own queues what a stream says of connections that are owned, which is of this kind.
func (c *Consumer) own(s *stream, qs *queues, kind aside, connections []*fanoutv1.Connection, tooLarge []string) {
	for _, v := range connections {
		conn := Conn{ID: v.GetId(), Namespace: v.GetNamespace(), UserID: v.GetUserId(), client: c.client}
		qs.add(&delivery{stream: s, event: &Event{Conn: conn, Connection: v}, aside: kind})
	}
	for _, id := range tooLarge {
		qs.add(&delivery{stream: s, event: &Event{Conn: Conn{ID: id, client: c.client}}, aside: kind})
	}
}

// release queues that these are owned no more.
func (c *Consumer) release(s *stream, qs *queues, ids []string) {
	for _, id := range ids {
		qs.add(released(s, Conn{ID: id}))
	}
}

func released(s *stream, conn Conn) *delivery {
	return &delivery{stream: s, event: &Event{Conn: conn}, aside: ownNoMore}
}

// tell runs the handler for what is not to be settled.
func (c *Consumer) tell(ctx context.Context, d *delivery) {
	var err error
	defer func() {
		if err != nil {
			c.log.Error("a handler of assignments failed", "connection", d.event.ID, "error", err)
		}
	}()
	defer recovered(&err)
	switch {
	case d.aside == published:
		c.handleMessage(ctx, d.stream, d.message)
	case d.aside == becomesOwn && c.assigned != nil:
		c.assigned(ctx, &Assigned{Conn: d.event.Conn, Connection: d.event.Connection})
	case d.aside == changed && c.changed != nil:
		c.changed(ctx, &Assigned{Conn: d.event.Conn, Connection: d.event.Connection})
	case d.aside == ownNoMore && c.released != nil:
		c.released(d.event.Conn)
	}
}
