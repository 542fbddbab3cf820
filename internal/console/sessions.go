package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// How long somebody stays signed in, and how many there are at most: one more ends that which
// was used least recently of whoever has most, so that nobody crowds out others. A stream that goes on is use: the pages
// end theirs when nobody can see them, as they cease to ask.
const (
	sessionTime = 12 * time.Hour // a shift
	idleTime    = time.Hour      // since the last request came, or the last call ended
	maxSessions = 1000
)

// Mode says what a session is for.
type Mode string

// The modes.
const (
	View Mode = "view" // what changes something is refused
	Act  Mode = "act"  // whatever the key may do
)

// session is somebody who has signed in.
type session struct {
	identity.Principal
	mode  Mode
	lasts context.Context // ends with it

	end    context.CancelFunc
	expiry time.Time

	// Guarded by sessions.mu.
	used  time.Time
	calls int         // under way
	timer *time.Timer // ends it, and so its streams, when nothing else does
}

// over reports whether the session holds no more.
func (s *session) over(now time.Time) bool {
	select {
	case <-s.Ended():
		return true
	default:
		return s.left(now) <= 0
	}
}

// left is how much time the session has unless it is used after now.
func (s *session) left(now time.Time) time.Duration {
	used := s.used
	if s.calls > 0 {
		used = now
	}
	return min(s.expiry.Sub(now), used.Add(idleTime).Sub(now))
}

// before reports whether another was used after this one.
func (s *session) before(o *session) bool {
	if (s.calls > 0) != (o.calls > 0) {
		return o.calls > 0
	}
	return s.used.Before(o.used)
}

// sessions are those there are, by the hash of their cookie. The zero value has none.
type sessions struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

// add begins a session and returns its cookie's value.
func (a *sessions) add(caller identity.Principal, mode Mode) string {
	now := time.Now()
	s := &session{Principal: caller, mode: mode, expiry: now.Add(sessionTime), used: now}
	s.lasts, s.end = context.WithCancel(context.Background())
	token := rand.Text() + rand.Text() // 260 bits
	at := sha256.Sum256([]byte(token))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[[sha256.Size]byte]*session{}
	}
	a.makeRoomLocked(now)
	a.all[at] = s
	s.timer = time.AfterFunc(s.left(now), func() { a.expire(at, s) })
	return token
}

// expire removes a session, unless it was used since its timer was set.
func (a *sessions) expire(at [sha256.Size]byte, s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch now := time.Now(); {
	case a.all[at] != s: // it is removed already
	case s.over(now):
		a.removeLocked(at)
	default:
		s.timer.Reset(s.left(now))
	}
}

// makeRoomLocked removes what is over, and one session more if there is no room otherwise.
func (a *sessions) makeRoomLocked(now time.Time) {
	number := map[string]int{} // of sessions, by caller
	for at, s := range a.all {
		if s.over(now) {
			a.removeLocked(at)
		} else {
			number[s.Name]++
		}
	}
	if len(a.all) < maxSessions {
		return
	}
	most := slices.Max(slices.Collect(maps.Values(number)))
	var oldest [sha256.Size]byte
	for at, s := range a.all {
		if o := a.all[oldest]; number[s.Name] == most && (o == nil || s.before(o)) {
			oldest = at
		}
	}
	a.removeLocked(oldest)
}

func (a *sessions) removeLocked(at [sha256.Size]byte) {
	if s := a.all[at]; s != nil {
		s.end()
		s.timer.Stop()
		delete(a.all, at)
	}
}

// of returns the session that a request's cookie is of.
func (a *sessions) of(r *http.Request) (*session, bool) {
	at, ok := cookieOf(r)
	if !ok {
		return nil, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, now := a.all[at], time.Now()
	switch {
	case s == nil:
		return nil, false
	case s.over(now):
		a.removeLocked(at)
		return nil, false
	}
	s.used = now
	return s, true
}

// begin notes that a call of a session is under way until end is called.
func (a *sessions) begin(s *session) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.calls++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		s.calls--
		s.used = time.Now()
	}
}

// remove ends the session of a request's cookie, if there is one.
func (a *sessions) remove(r *http.Request) {
	if at, ok := cookieOf(r); ok {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.removeLocked(at)
	}
}

func cookieOf(r *http.Request) (at [sha256.Size]byte, ok bool) {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil {
		return at, false
	}
	return sha256.Sum256([]byte(cookie.Value)), true
}

// cookieName is that of a session. Browsers send cookies to every port of a host, where the
// consoles of other daemons may be: each has its own.
func cookieName(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		return "fanoutd-console"
	}
	return "fanoutd-console-" + port
}
