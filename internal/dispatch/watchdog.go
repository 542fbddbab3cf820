package dispatch

import "time"

// watchdog looks, once in a while, whether a consumer reads. It is guarded by group.mu.
type watchdog struct {
	timer    *time.Timer // nil: nobody looks
	progress time.Time   // when the consumer last took something
}

// start has look called after limit.
func (w *watchdog) start(limit time.Duration, look func()) { w.timer = time.AfterFunc(limit, look) }

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// progressed keeps it quiet for a while.
func (w *watchdog) progressed() { w.progress = time.Now() }

// bites reports whether a consumer that could have taken something has not for so long, and
// else looks again later.
func (w *watchdog) bites(could bool, limit time.Duration) bool {
	quiet := time.Since(w.progress)
	if could && quiet >= limit {
		return true
	}
	w.timer.Reset(max(limit-quiet, limit/4))
	return false
}

// watch ends a subscription that takes nothing though queues are ready and no more than
// MaxInFlight are in flight: it does not read.
func (s *Subscription) watch() {
	if s.stalled() {
		s.group.dispatcher.stalledSubscriptions.Add(1)
		s.end(ErrStalled)
	}
}

func (s *Subscription) stalled() bool {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if s.cause != nil {
		return false
	}
	could := s.nextTurnLocked() != nil && s.inFlight < s.limit
	return s.watchdog.bites(could, s.group.dispatcher.opts.StallTimeout)
}
