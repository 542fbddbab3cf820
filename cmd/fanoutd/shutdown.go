package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/drain"
)

// shutdown ends everything in the phases of the drain, which has begun:
//
//  1. Readiness and health say no; everybody is served as before for the delay.
//  2. New sessions are refused. Those there are end, over the time of the drain: their
//     transports are closed without a DISCONNECT packet, so that stock clients come back
//     by themselves.
//  3. New consumers are refused. What browsers did up to their end is delivered, while
//     consumers stay. Clients that were here come back to other nodes as what they were;
//     those that take longer are handed over.
//  4. Backends' streams end, this node leaves its cluster, and last the operators, who want
//     to see it, are left.
//
// The last two are over within the grace period, and no later than needed.
func (d *daemon) shutdown() {
	at, _ := d.drain.Progress()
	grace := d.config.operations.grace
	d.log.Info("shutting down", "delay", at.Plan.Delay.String(), "over", at.Plan.Time.String(), "grace", grace.String(), "sessions", at.Sessions)
	<-time.After(at.Plan.Delay)
	dropped := d.consumers.Stats().Dropped
	d.drain.Enter(drain.Closing)
	d.closeSessions(at.Plan.Time)

	d.drain.Enter(drain.Consumers)
	d.services.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	delivering, stop := context.WithTimeout(ctx, grace-min(grace/10, lastStreams))
	defer stop()

	d.report("sessions", d.sockets.Close(ctx))
	var leaving sync.WaitGroup
	leaving.Go(func() {
		// The listener stays open meanwhile: a polling client learns by its next
		// request that its session is over.
		d.report("transports", d.sockets.Shutdown(ctx))
		d.webTransport.close()
		d.report("browsers", d.stop(ctx, d.browsers))
		d.report("forwarded", d.stop(ctx, d.forwarded))
	})
	leaving.Go(func() {
		d.deliver(delivering, dropped)
		d.moveAway(delivering)
		d.report("webhooks", d.webhooks.Close(ctx))
		d.drain.Enter(drain.Done) // who follows the drain over a stream hears of it before that ends
		d.report("backends", d.backends.shutdown(ctx))
		d.services.Wait()
	})
	leaving.Wait()
	d.leaveCluster(ctx)
	d.flushTraces(ctx)
	d.report("operators", d.stop(ctx, d.operators))
	d.log.Info("ended")
}

// notReady has readiness and health say no: the drain has begun.
func (d *daemon) notReady() {
	d.ready.NotReady("shutting down")
	d.services.NotServing()
}

// closeSessions closes the sessions over this long, or half as long again if the machine is
// too busy for that: what is left then is closed at once.
func (d *daemon) closeSessions(over time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), longestClosing(over))
	defer cancel()
	if err := d.sockets.Drain(ctx, over); err != nil {
		d.log.Warn("the time of the drain was too short: the rest is closed at once", "sessions", d.sockets.OpenSessions())
	}
}

// longestClosing is how long sessions may take to be closed that are to be closed over this
// long.
func longestClosing(over time.Duration) time.Duration { return over + over/2 + time.Second }

// longestShutdown is how long a shutdown by the drain that has begun takes at most.
func (d *daemon) longestShutdown() time.Duration {
	at, _ := d.drain.Progress()
	return at.Plan.Delay + longestClosing(at.Plan.Time) + d.config.operations.grace
}

// lastStreams is what of the grace period, at most a tenth of it, is kept for
// streams to end in.
const lastStreams = time.Second

// returnsEvery is how often is looked whether clients have come back to other nodes.
const returnsEvery = 50 * time.Millisecond

// returnsTime is how long clients may take to come back by themselves: stock ones try after
// half a second to one and a half, and then after one to three.
const returnsTime = 3 * time.Second

// moveAway waits a while until the clients that were cut off from here have come back to
// other nodes, and has these keep the connections of the rest.
func (d *daemon) moveAway(ctx context.Context) {
	if d.node == nil || len(d.node.Peers()) == 0 {
		return
	}
	d.awaitReturns(ctx)
	if d.sockets.Offline() == 0 {
		return
	}
	d.log.Info("other nodes keep the connections of clients that have not come back", "connections", d.node.HandOver(ctx))
	if n := d.sockets.Offline(); n > 0 {
		d.log.Warn("no other node keeps the connections of clients that have not come back: they will be connected anew", "connections", n)
	}
}

// awaitReturns waits until no client is to come back any more, but not for long, and leaves
// half of the time.
func (d *daemon) awaitReturns(ctx context.Context) {
	limit := returnsTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(returnsEvery)
	defer tick.Stop()
	for d.sockets.Offline() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// deliver waits until consumers have settled everything that browsers did, or ctx
// is done, and logs what they did not get, and what was dropped beyond the number
// before the sessions ended: events that waited for room.
func (d *daemon) deliver(ctx context.Context, dropped uint64) {
	undelivered := d.consumers.Drain(ctx)
	for _, group := range slices.Sorted(maps.Keys(undelivered)) {
		d.log.Warn("events were not delivered", "group", group, "events", undelivered[group])
	}
	if n := d.consumers.Stats().Dropped - dropped; n > 0 {
		d.log.Warn("events were dropped for want of room", "events", n)
	}
}

// stopper is what every HTTP server is.
type stopper interface {
	Shutdown(context.Context) error
	Close() error
}

// stop closes an HTTP server's listener and idle connections, and waits for
// requests under way; those that ctx does not leave time for are cut off.
func (d *daemon) stop(ctx context.Context, s stopper) error {
	err := s.Shutdown(ctx)
	if err != nil {
		s.Close()
	}
	return err
}

func (d *daemon) report(who string, err error) {
	if err != nil {
		d.log.Warn("the grace period was too short: the rest was cut off", "who", who, "error", err)
	}
}
