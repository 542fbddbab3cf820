package engineio

import "context"

// Close refuses new sessions and closes all others with [ReasonShutdown]. It ends
// transports without any Socket.IO packet, so that stock clients come back by
// themselves. It waits until the receivers of all sessions have heard of their
// ends, or ctx is done, and returns ctx's cause then; the transports may take
// longer, which Shutdown waits for. It may be called more than once.
func (s *Server) Close(ctx context.Context) error {
	s.refuseNew()
	for _, sess := range s.all() {
		sess.Close(ReasonShutdown)
	}
	heard := make(chan struct{})
	go func() {
		s.receivers.Wait()
		close(heard)
	}()
	select {
	case <-heard:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refuseNew refuses new sessions from now on.
func (s *Server) refuseNew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
}

// Shutdown is Close, and waits until the transports have ended too, or ctx is
// done; then it aborts what is left and returns ctx's cause.
func (s *Server) Shutdown(ctx context.Context) error {
	_ = s.Close(ctx) // the sessions end after that
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		s.retire.Do(func() {
			s.flushers.stop()
			s.poller.Close()
			s.readers.stop()
			s.starter.stop()
		})
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	s.abort.Do(func() { close(s.aborting) })
	for _, sess := range s.all() {
		sess.abort()
	}
	<-ended
	return context.Cause(ctx)
}
