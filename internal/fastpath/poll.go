package fastpath

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
)

// poll has the handler answer a poll. It reports whether there may be another request.
func (c *conn) poll(r *http.Request) (again bool) {
	s := c.listener.server
	ctx, cancel := context.WithCancel(c.polls)
	c.begin(cancel)
	w := newAnswer(c)
	defer func() {
		p := recover()
		c.begin(nil)
		cancel()
		w.release()
		if p != nil {
			s.report("a poll caused a panic", c.socket, p)
			again = false
		}
		if !again {
			c.end()
		}
	}()
	s.Handler.ServeHTTP(w, r.WithContext(ctx))
	c.few, c.tolerated = nextFew, 0
	if r.Method == http.MethodPost {
		c.tolerated = maxBlank
	}
	return w.finish()
}

// report logs a panic of the handler, if it is one.
func (s *Server) report(what string, c socket, p any) {
	if err, _ := p.(error); !errors.Is(err, http.ErrAbortHandler) {
		s.opts.Logger.Error(what, "remote", c.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
	}
}
