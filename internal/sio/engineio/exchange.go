package engineio

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// exchange is one HTTP request of a polling session, from the look at it to the
// end of its answer, with the deadlines that bound it: the session's close
// shortens them.
type exchange struct {
	mu      sync.Mutex
	control *http.ResponseController // nil: answered; the connection may serve another request by now
	reads   bool                     // it has a body to read
	latest  time.Time                // no deadline is later; zero: the session is open
}

// allowWrite gives the peer d to take the answer.
func (x *exchange) allowWrite(d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.control != nil {
		x.control.SetWriteDeadline(x.boundLocked(d))
	}
}

// allowRead gives the peer d to send the body.
func (x *exchange) allowRead(d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.control != nil {
		x.control.SetReadDeadline(x.boundLocked(d))
	}
}

// endRead lifts the deadline of a body that was read, for net/http, which goes
// on to watch the connection.
func (x *exchange) endRead() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reads = false
	if x.control != nil {
		x.control.SetReadDeadline(time.Time{})
	}
}

func (x *exchange) boundLocked(d time.Duration) time.Time {
	t := time.Now().Add(d)
	if !x.latest.IsZero() && x.latest.Before(t) {
		return x.latest
	}
	return t
}

// expire bounds everything that is still read and written. A GET is not read
// from: net/http watches its connection for the browser's leaving, and would
// take a deadline for that.
func (x *exchange) expire(d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.control == nil {
		return
	}
	x.latest = x.boundLocked(d)
	x.control.SetWriteDeadline(x.latest)
	if x.reads {
		x.control.SetReadDeadline(x.latest)
	}
}

// begin notes that a request of the session is being served. The caller must
// call finish before it returns to net/http.
func (s *Session) begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{control: http.NewResponseController(w), reads: r.Method == http.MethodPost}
	s.mu.Lock()
	s.exchanges = append(s.exchanges, x)
	reason := s.reasonLocked()
	s.mu.Unlock()
	if reason != "" {
		x.expire(s.srv.closeBound(reason))
	}
	return x
}

func (s *Session) finish(x *exchange) {
	s.mu.Lock()
	if i := slices.Index(s.exchanges, x); i >= 0 {
		s.exchanges = slices.Delete(s.exchanges, i, i+1)
	}
	s.mu.Unlock()
	x.mu.Lock()
	x.control = nil
	x.mu.Unlock()
}

// expireExchanges bounds what the session's requests still read and write.
func (s *Session) expireExchanges(d time.Duration) {
	s.mu.Lock()
	all := slices.Clone(s.exchanges)
	s.mu.Unlock()
	for _, x := range all {
		x.expire(d)
	}
}

// closeBound is how long a session that closes for this reason may still read and write.
func (s *Server) closeBound(reason Reason) time.Duration {
	select {
	case <-s.aborting:
		return 0
	default:
	}
	if reason == ReasonShutdown {
		return shutdownWait
	}
	return closeWait
}
