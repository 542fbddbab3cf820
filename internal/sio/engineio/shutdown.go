package engineio

import "context"

// Shutdown refuses new sessions, closes all others with [ReasonShutdown], and
// waits until they have ended or ctx is done; then it aborts what is left and
// returns ctx's cause. It ends transports without any Socket.IO packet, so that
// stock clients come back by themselves.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	for _, sess := range s.all() {
		sess.Close(ReasonShutdown)
	}
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		s.retire.Do(func() {
			s.flushers.stop()
			s.poller.Close()
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
