package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

var (
	// ErrReplaced ends a Consumer whose ID has joined the group again, from
	// elsewhere.
	ErrReplaced = errors.New("backend: another consumer has joined with the same id")

	// ErrGroupDeleted ends the Consumers of a group that an operator deleted.
	ErrGroupDeleted = errors.New("backend: the group was deleted")

	// errEnded is a stream that ended without a reason.
	errEnded = errors.New("the daemon ended the stream")

	// errOver ends what handlers are still at when the grace is over.
	errOver = errors.New("backend: the time to end is over")

	// errCancelled ends a handler whose delivery was taken back.
	errCancelled = errors.New("backend: the delivery was taken back")
)

// Run joins the group and handles events until ctx ends. It comes back by
// itself when the connection is lost or the daemon restarts.
//
// When ctx ends, Run takes no more events, lets handlers finish those that it
// has, settles them, and returns nil: nothing is lost or repeated. After the
// grace it gives up, and what is not settled goes to another member. It waits
// for handlers in any case, so they have to respect their context.
//
// Errors are what no further try can change: [ErrReplaced], [ErrGroupDeleted], a key or a group
// that the daemon does not accept. One Run at a time; a second one panics.
func (c *Consumer) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		panic("backend: this Consumer runs already")
	}
	defer c.running.Store(false)

	handling, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	qs := newQueues(handling, c.opts.Concurrency, c.handle, c.tell)
	defer qs.wait()
	defer stop(errOver)

	for b := (backoff{}); ; {
		ready, err := c.session(ctx, qs, stop)
		if ctx.Err() != nil {
			return nil
		}
		if !passing(err) {
			return fmt.Errorf("backend: consuming: %w", err)
		}
		if ready {
			b.reset()
		}
		c.log.Warn("the event stream was lost; trying again", "error", err)
		if !b.wait(ctx, pause(err)) {
			return nil
		}
	}
}

// session lives through one stream. ready says that it got as far as hearing
// events.
func (c *Consumer) session(ctx context.Context, qs *queues, stop context.CancelCauseFunc) (ready bool, err error) {
	s, err := openStream(context.WithoutCancel(ctx), c.client.events, c.open())
	if err != nil {
		return false, err
	}
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(c.workingInterval())
		defer tick.Stop()
		stopping, over := ctx.Done(), (<-chan time.Time)(nil)
		for {
			select {
			case <-tick.C:
				s.working(qs.oldest(s))
			case <-stopping:
				s.leave()
				stopping, over = nil, time.After(c.opts.Grace)
			case <-over:
				stop(errOver)
				s.cancel()
				return
			case <-ended:
				return
			}
		}
	}()
	ready, err = c.receive(s, qs)
	close(ended)
	<-watched
	qs.detach(s)
	s.close()
	switch {
	case hasReason(err, "CONSUMER_REPLACED"):
		err = ErrReplaced
	case hasReason(err, "GROUP_DELETED"):
		err = ErrGroupDeleted
	case errors.Is(err, io.EOF):
		err = errEnded
	}
	return ready, err
}

// workingInterval is how often the daemon hears that deliveries are being worked on.
// It refuses an AckWait of less than a second.
func (c *Consumer) workingInterval() time.Duration {
	return max(c.opts.AckWait, time.Second) / 2
}

// receive takes what the daemon says until the stream ends. Heartbeats, and what a
// newer daemon may say, are left out.
func (c *Consumer) receive(s *stream, qs *queues) (ready bool, err error) {
	for {
		res, err := s.receive()
		if err != nil {
			return ready, err
		}
		switch {
		case res.GetReady() != nil:
			ready = true
			c.log.Info("hearing events", "node", res.GetReady().GetNode())
		case res.GetEvents() != nil:
			for _, e := range res.GetEvents().GetEvents() {
				s.received()
				ends := e.GetKind() == fanoutv1.Event_DISCONNECTED && !e.GetReplayed()
				qs.add(&delivery{stream: s, event: c.client.event(e), kind: e.GetKind(), ends: ends})
			}
		case res.GetAssigned() != nil:
			c.own(s, qs, becomesOwn, res.GetAssigned().GetConnections(), res.GetAssigned().GetTooLarge())
		case res.GetChanged() != nil:
			c.own(s, qs, changed, res.GetChanged().GetConnections(), res.GetChanged().GetTooLarge())
		case res.GetPublished() != nil:
			c.hear(s, qs, res.GetPublished())
		case res.GetReleased() != nil:
			c.release(s, qs, res.GetReleased().GetConnectionIds())
		case res.GetDraining() != nil:
			s.draining()
		case res.GetCancelled() != nil:
			qs.cancel(s, res.GetCancelled().GetDeliveryIds())
		case res.GetRejected() != nil:
			c.rejected(s, qs, res.GetRejected())
		}
	}
}
