package engineio

import "errors"

// Prefetch has the processor fetch the memory that Send begins with. What it returns only
// keeps the compiler from leaving it out.
func (s *Session) Prefetch() int { return s.out.limit }

// Send queues msgs, all or none, in order and next to each other. A session
// whose outbox would overflow closes with [ReasonSlowConsumer]. It reports
// whether they were queued.
func (s *Session) Send(msgs ...*Message) bool {
	err := s.out.push(msgs...)
	if errors.Is(err, errOutboxFull) {
		s.Close(ReasonSlowConsumer)
	}
	return err == nil
}

// SendVolatile sends msgs only if the transport is ready to take them at once,
// and reports whether it was.
func (s *Session) SendVolatile(msgs ...*Message) bool {
	ok := s.out.pushVolatile(msgs...)
	if !ok {
		s.srv.counters.dropped.Add(1)
	}
	return ok
}

// SendLatest is SendVolatile for a transport that may be a little late: what it
// does not take at once waits, within bounds, and when too much waits the oldest
// that was sent so is dropped for the newest. It reports whether msgs were
// queued; they may be dropped later.
func (s *Session) SendLatest(msgs ...*Message) bool {
	dropped, ok := s.out.pushLatest(msgs...)
	s.srv.counters.dropped.Add(uint64(dropped))
	return ok
}

// SendConflated is Send for msgs that [Conflate] has marked: what was sent with the same key
// and still waits is dropped for them.
func (s *Session) SendConflated(msgs ...*Message) bool {
	replaced, err := s.out.pushConflated(msgs...)
	if replaced {
		s.srv.counters.conflated.Add(1)
	}
	if errors.Is(err, errOutboxFull) {
		s.Close(ReasonSlowConsumer)
	}
	return err == nil
}

// Queued returns the bytes that wait to be written.
func (s *Session) Queued() int { return s.out.queued() }

// Dropped returns how many volatile packets were dropped for the session.
func (s *Session) Dropped() int { return s.out.dropped() }
