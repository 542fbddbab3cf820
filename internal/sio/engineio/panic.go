package engineio

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// What is logged of panics: the first ones, then one in each interval. Whoever knows how
// to cause one must not fill a disk with stacks.
const (
	firstPanics   = 10
	panicInterval = time.Second
)

// panics notes the panics that were caught.
type panics struct {
	log    *slog.Logger
	caught atomic.Uint64
	lines  rate.Sometimes
}

func newPanics(log *slog.Logger) *panics {
	return &panics{log: log, lines: rate.Sometimes{First: firstPanics, Interval: panicInterval}}
}

// note counts and logs a panic, whose stack is that of the caller.
func (p *panics) note(value any) {
	n := p.caught.Add(1)
	p.lines.Do(func() {
		p.log.Error("panic in what one browser did", "panic", value, "caught", n, "stack", string(debug.Stack()))
	})
}

// NotePanic counts and logs what a deferred function of the layer above recovered from.
func (s *Server) NotePanic(value any) { s.panics.note(value) }

// Panics returns how many panics were caught since the start.
func (s *Server) Panics() uint64 { return s.panics.caught.Load() }

// guard calls f, which handles something of this session alone. A panic in it ends the
// session, and nothing else.
func (s *Session) guard(f func()) {
	defer func() {
		if value := recover(); value != nil {
			s.srv.panics.note(value)
			s.Close(ReasonInternalError)
		}
	}()
	f()
}

// receiver returns the session's receiver. A panic refuses the session.
func (s *Server) receiver(sess *Session, r *http.Request) (receiver Receiver, err error) {
	defer func() {
		if value := recover(); value != nil {
			s.panics.note(value)
			err = errInternal
		}
	}()
	return s.handler.Open(sess, r)
}

var errInternal = errors.New("internal error")

// guardRequest is to be deferred by what serves a request: a panic ends its connection.
func (s *Server) guardRequest() {
	if value := recover(); value != nil {
		if value != any(http.ErrAbortHandler) { // which is a panic that is meant
			s.panics.note(value)
		}
		panic(http.ErrAbortHandler) // which net/http does not log once more
	}
}
