package engineio

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/netpoll"
	"github.com/fanoutd/fanoutd/internal/warning"
	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// Handler takes the sessions and their messages; Socket.IO is one.
type Handler interface {
	// Open is called with each new session and the request that opened it,
	// before anything is sent or received. It must not keep the request. An
	// error refuses the session: the browser gets its text with code 4.
	Open(s *Session, r *http.Request) (Receiver, error)
}

// Server is an http.Handler that opens sessions and finds them by sid. Create
// it with [NewServer]; it is safe for concurrent use.
type Server struct {
	opts       Options
	access     atomic.Pointer[Access] // in place of what opts has
	run        string                 // begins the sessions' names
	began      time.Time              // see clock
	handler    Handler
	log        *slog.Logger
	upgrader   *wsconn.Upgrader
	flushers   *flushers
	heartbeats *heartbeats
	poller     netpoll.Poller
	readers    *readers
	starter    *starter
	retire     sync.Once     // stops these four, after the last session
	number     atomic.Uint64 // the latest session's
	counters   counters
	traffic    traffic
	refused    refusals
	foreign    warning.Throttle // bounds the warnings about pages of other origins
	proxied    warning.Throttle // likewise, about proxies that are not trusted
	drained    atomic.Int64     // sessions closed by Drain
	panics     *panics
	aborting   chan struct{} // closed when the context of a Shutdown is done
	abort      sync.Once     // closes it

	// running counts what Shutdown waits for: every session, from its opening to
	// the end of its teardown, and the goroutines they start. A session is
	// counted under mu while closing is false, and starts goroutines only while
	// it is counted.
	running sync.WaitGroup
	// receivers counts the sessions whose receiver may not have heard of their end.
	receivers sync.WaitGroup

	mu       sync.Mutex
	limiter  *limiter
	sessions map[string]*Session
	closing  bool
}

// NewServer returns a server that hands its sessions to h. It fails on options
// that make no sense.
func NewServer(opts Options, h Handler) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts:     opts,
		began:    time.Now(),
		handler:  h,
		log:      opts.Logger,
		panics:   newPanics(opts.Logger),
		limiter:  newLimiter(opts.Limits),
		sessions: map[string]*Session{},
		flushers: newFlushers(),
		readers:  newReaders(),
		traffic:  newTraffic(),
		starter:  newStarter(),
		aborting: make(chan struct{}),
		upgrader: wsconn.NewUpgrader(wsconn.Options{MaxMessage: opts.MaxPayload, Deflate: opts.PerMessageDeflate}),
	}
	s.heartbeats = newHeartbeats(s.clock, opts.PingInterval, (*Session).beat)
	s.SetAccess(Access{Origins: opts.Origins, Proxies: opts.Proxies})
	s.run = rand.Text()[:13]
	return s, nil
}

// Options returns the options in force, defaults filled in.
func (s *Server) Options() Options { return s.opts }

// open opens a session over the transport that the request uses.
func (s *Server) open(w http.ResponseWriter, r *http.Request, transport string, protocol uint8, from netip.Addr, secure bool) {
	sess, refusal := s.admit(r, protocol, from, secure)
	if refusal != nil {
		s.refuse(w, r, *refusal)
		return
	}
	if transport == transportWebSocket {
		sess.openWebSocket(w, r)
	} else {
		sess.openPolling(w, r)
	}
}

// admit returns a new session that the request may have, or says why not. secure
// says that the request came by TLS.
func (s *Server) admit(r *http.Request, protocol uint8, from netip.Addr, secure bool) (*Session, *protocolError) {
	sess := &Session{srv: s, protocol: protocol, number: s.number.Add(1), id: NewID(s.opts.Epoch), secure: secure}
	sess.client = addressOf(r.RemoteAddr)
	sess.out.limit = s.opts.MaxQueue
	if protocol == 3 {
		sess.framing = framingV3
	}
	sess.framing = sess.framingFor(r)
	sess.in.Lock() // first: a close meanwhile waits, and tells the receiver that Open returns
	if refusal := s.add(sess, from); refusal != nil {
		sess.in.Unlock()
		return nil, refusal
	}
	receiver, err := s.receiver(sess, r)
	if err == nil {
		sess.mu.Lock()
		sess.receiver = receiver
		sess.mu.Unlock()
	}
	sess.in.Unlock()
	if s.blocked(sess.client) { // since the request came: nobody else looks for it any more
		sess.Close(ReasonForcedClose)
		return nil, &errBlocked
	}
	if err != nil {
		sess.Close(ReasonForcedClose)
		e := errForbidden
		e.message = err.Error()
		return nil, &e
	}
	return sess, nil
}

// add makes the session known and counts it, or says why not.
func (s *Server) add(sess *Session, from netip.Addr) *protocolError {
	now := time.Now()
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return &errClosing
	}
	evicted, refusal := s.limiter.admitLocked(sess, from, now)
	if refusal == nil {
		s.sessions[sess.id] = sess
		s.running.Add(1)
		s.receivers.Add(1)
	}
	s.mu.Unlock()
	if evicted != nil {
		evicted.Close(ReasonPendingLimit)
	}
	return refusal
}

func (s *Server) remove(sess *Session) {
	s.mu.Lock()
	delete(s.sessions, sess.id)
	s.limiter.removeLocked(sess)
	s.mu.Unlock()
	s.running.Done()
}

// markJoined notes that a session joined something.
func (s *Server) markJoined(sess *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.joinedLocked(sess)
}

// start runs f in a goroutine of its own, soon. It is for a session that is
// counted by running, and may be called under any lock.
func (s *Server) start(f func()) {
	s.running.Add(1)
	s.starter.start(func() {
		defer s.running.Done()
		f()
	})
}

func (s *Server) session(sid string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[sid]
}

// MaxSessions returns how many sessions there may be; 0: any number.
func (s *Server) MaxSessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.limiter.limits.Sessions, 0)
}

// Sessions returns how many sessions each transport carries, by its name.
func (s *Server) Sessions() map[string]int {
	n := s.noSessions()
	for _, sess := range s.all() {
		n[sess.Transport()]++
	}
	return n
}

// clock is the time since just before the server's start: never 0, and a third of
// the size of a time.Time.
func (s *Server) clock() time.Duration { return time.Since(s.began) + 1 }

func (s *Server) all() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Session, 0, len(s.sessions))
	for _, sess := range s.sessions {
		all = append(all, sess)
	}
	return all
}

// Pace is the backpressure on emitters: called after msgs were sent to some
// sessions, with no lock held, it waits, for a bounded time, while the server is
// behind with writing, so that a fast emitter makes no browser's outbox overflow.
// Without msgs it does nothing.
func (s *Server) Pace(msgs []*Message) {
	bytes := 0
	for _, m := range msgs {
		bytes += m.size()
	}
	if bytes > 0 {
		s.flushers.pace(bytes)
	}
}

// SetLimits changes the limits from now on, defaults filled in. Sessions that there are
// stay, beyond the new limits too.
func (s *Server) SetLimits(l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.limits = l.withDefaults()
}

// openPacket is what a client learns first (engine.io/lib/socket.ts, onOpen):
// exactly these keys.
func (s *Server) openPacket(sess *Session, transport string) *Message {
	b := fmt.Appendf(nil, `{"sid":"%s","upgrades":[%s],"pingInterval":%d,"pingTimeout":%d,"maxPayload":%d}`, // ms, ms, bytes
		sess.id, s.upgrades(sess.protocol, transport), s.opts.PingInterval.Milliseconds(), s.opts.PingTimeout.Milliseconds(), s.opts.MaxPayload)
	return packet(packetOpen, b)
}
