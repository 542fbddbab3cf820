package engineio

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	timerate "golang.org/x/time/rate" // the limiter has a rate of its own
)

// Drain refuses new sessions, and closes those there are with [ReasonShutdown], one after
// the other, evenly over this long: so their clients come back elsewhere at that rate, and
// not all at once. It returns when all are closed, or, with its cause, when ctx is done;
// [Server.Close] closes what is left then, and waits. A machine that was busy meanwhile
// makes it last longer: what is late is not made up for in a burst.
func (s *Server) Drain(ctx context.Context, over time.Duration) error {
	s.refuseNew()
	all := s.all()
	_, err := s.closeEvenly(ctx, all, len(all), over, ReasonShutdown)
	return err
}

// Drained returns how many sessions Drain has closed.
func (s *Server) Drained() int { return int(s.drained.Load()) }

// CloseOldest closes n of the sessions, or as many as there are, with [ReasonRebalance],
// evenly over this long: those that have been open for longest, so that no client is moved
// again and again. It returns how many it has closed when ctx is done, or all are.
func (s *Server) CloseOldest(ctx context.Context, n int, over time.Duration) int {
	all := s.all()
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(a.number, b.number) })
	closed, _ := s.closeEvenly(ctx, all, n, over, ReasonRebalance) // the number says how far it came
	return closed
}

// Open returns how many sessions are open; [Server.Sessions] counts those that are being
// closed too.
func (s *Server) Open() (n int) {
	for _, sess := range s.all() {
		if sess.open() {
			n++
		}
	}
	return n
}

// closeTogether is for how long sessions are closed at one moment rather than one by one:
// timers are not finer than a millisecond or so, and each wake-up costs.
const closeTogether = 10 * time.Millisecond

// closeEvenly closes n of the sessions that are open, in this order, as if they took this
// long together, and returns how many. Those that end by themselves meanwhile take no time.
func (s *Server) closeEvenly(ctx context.Context, sessions []*Session, n int, over time.Duration, reason Reason) (closed int, err error) {
	pace := evenly(n, over)
	for _, sess := range sessions {
		if closed == n {
			break
		}
		if !sess.open() {
			continue
		}
		if err := pace.Wait(ctx); err != nil {
			return closed, context.Cause(ctx)
		}
		if sess.close(reason, "") {
			closed++
			if reason == ReasonShutdown {
				s.drained.Add(1)
			}
		}
	}
	return closed, nil
}

// evenly lets n things happen over this long.
func evenly(n int, over time.Duration) *timerate.Limiter {
	if over <= 0 {
		return timerate.NewLimiter(timerate.Inf, 1)
	}
	perSecond := float64(n) / over.Seconds()
	return timerate.NewLimiter(timerate.Limit(perSecond), int(math.Ceil(perSecond*closeTogether.Seconds())))
}
