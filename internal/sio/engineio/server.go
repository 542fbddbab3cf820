package engineio

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/netpoll"
	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// Transport names, as in the query and the open packet.
const (
	transportPolling      = "polling"
	transportWebSocket    = "websocket"
	transportWebTransport = "webtransport"
)

// Handler is whoever makes sense of the sessions' messages.
type Handler interface {
	// Open is called with each new session and the request that opened it,
	// before anything is sent or received. It must not keep the request. An
	// error refuses the session: the browser gets its text with code 4.
	Open(s *Session, r *http.Request) (Receiver, error)
}

// Server is an http.Handler that opens sessions and finds them by sid. Create
// it with [NewServer]; it is safe for concurrent use.
type Server struct {
	opts     Options
	handler  Handler
	log      *slog.Logger
	upgrader *wsconn.Upgrader
	flushers *flushers
	poller   netpoll.Poller
	starter  *starter
	retire   sync.Once     // stops these three, after the last session
	opened   atomic.Uint64 // sessions
	dropped  atomic.Uint64 // volatile packets
	slow     atomic.Uint64 // sessions closed for it
	aborting chan struct{} // closed when the context of a Shutdown is done
	abort    sync.Once     // closes it

	// running counts what Shutdown waits for: every session, from its opening to
	// the end of its teardown, and the goroutines they start. A session is
	// counted under mu while closing is false, and starts goroutines only while
	// it is counted.
	running sync.WaitGroup

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
	return &Server{
		opts:     opts,
		handler:  h,
		log:      opts.Logger,
		limiter:  newLimiter(opts.Limits),
		sessions: map[string]*Session{},
		flushers: newFlushers(opts.MaxQueue),
		starter:  newStarter(),
		aborting: make(chan struct{}),
		upgrader: wsconn.NewUpgrader(wsconn.Options{MaxMessage: opts.MaxPayload, Deflate: opts.PerMessageDeflate}),
	}, nil
}

// Options returns the options in force, defaults filled in.
func (s *Server) Options() Options { return s.opts }

// ServeHTTP answers one request of one session, or opens one. It blocks for as
// long as a poll is pending.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := s.opts.Proxies.site(r)
	from, remote := s.opts.Proxies.client(r)
	r.RemoteAddr = remote
	ok, named := s.opts.Origins.allows(r, at)
	if !ok {
		s.refuseOrigin(w, r, at)
		return
	}
	if !isUpgrade(r) {
		s.opts.Origins.setCORS(w.Header(), r, named)
		if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" {
			s.opts.Origins.preflight(w, r)
			return
		}
	}
	q := ParseQuery(r.URL.RawQuery)
	transport := lastValue(q, "transport")
	// The order of the checks is the reference's (engine.io/lib/server.ts, verify).
	if transport != transportPolling && transport != transportWebSocket {
		e := errUnknownTransport
		if isUpgrade(r) && !q.Has("EIO") {
			e.message += plainClient
		}
		s.refuse(w, r, e)
		return
	}
	if q.Has("sid") {
		s.serveSession(w, r, q, transport)
		return
	}
	if r.Method != http.MethodGet {
		s.refuse(w, r, errBadMethod)
		return
	}
	if (transport == transportWebSocket) != isUpgrade(r) {
		s.refuse(w, r, mismatch(transport))
		return
	}
	protocol := s.protocol(lastValue(q, "EIO"))
	if protocol == 0 {
		e := errVersion
		if isUpgrade(r) && !q.Has("EIO") {
			e.message += plainClient
		}
		s.refuse(w, r, e)
		return
	}
	s.open(w, r, transport, protocol, from)
}

// protocol returns the version of Engine.IO that a request asks for, or 0.
func (s *Server) protocol(eio string) uint8 {
	switch {
	case eio == "4":
		return 4
	case eio == "3" && s.opts.AllowEIO3:
		return 3
	}
	return 0
}

// serveSession answers a request that names its session.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request, q url.Values, transport string) {
	sess := s.session(lastValue(q, "sid"))
	if sess == nil {
		s.refuse(w, r, errUnknownSession)
		return
	}
	if v, has := q["EIO"]; has && s.protocol(v[len(v)-1]) != sess.protocol {
		s.refuse(w, r, errBadRequest)
		return
	}
	switch upgrade := isUpgrade(r); {
	case upgrade && transport == transportWebSocket:
		sess.serveUpgrade(w, r)
	case upgrade, transport != sess.Transport(), transport == transportWebSocket:
		s.refuse(w, r, mismatch(transport))
	case r.Method == http.MethodGet:
		sess.servePoll(w, r)
	case r.Method == http.MethodPost:
		sess.servePost(w, r)
	default:
		s.refuse(w, r, errBadRequest)
	}
}

// open opens a session over the transport that the request uses.
func (s *Server) open(w http.ResponseWriter, r *http.Request, transport string, protocol uint8, from netip.Addr) {
	sess, refusal := s.admit(r, protocol, from)
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

// admit returns a new session that the request may have, or says why not.
func (s *Server) admit(r *http.Request, protocol uint8, from netip.Addr) (*Session, *protocolError) {
	sess := &Session{srv: s, protocol: protocol, number: s.opened.Add(1), id: newID(), done: make(chan struct{})}
	sess.out.limit = s.opts.MaxQueue
	if protocol == 3 {
		sess.form = formV3
	}
	sess.form = sess.formFor(r)
	if refusal := s.add(sess, from); refusal != nil {
		return nil, refusal
	}
	sess.in.Lock()
	receiver, err := s.handler.Open(sess, r)
	if err == nil {
		sess.receiver = receiver
	}
	sess.in.Unlock()
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

// settle notes that a session joined something.
func (s *Server) settle(sess *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.settleLocked(sess)
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

// Sessions returns how many sessions each transport carries, by its name.
func (s *Server) Sessions() map[string]int {
	n := map[string]int{transportPolling: 0, transportWebSocket: 0}
	if s.opts.WebTransport {
		n[transportWebTransport] = 0
	}
	for _, sess := range s.all() {
		n[sess.Transport()]++
	}
	return n
}

// Slow counts what slow clients cost since the start: volatile packets that were
// dropped, and sessions that were closed with [ReasonSlowConsumer].
func (s *Server) Slow() (dropped, closed uint64) {
	return s.dropped.Load(), s.slow.Load()
}

func (s *Server) all() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Session, 0, len(s.sessions))
	for _, sess := range s.sessions {
		all = append(all, sess)
	}
	return all
}

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

// Pace is called after msgs were sent to some sessions, under no lock: it waits,
// for a bounded time, while the server is behind with writing, so that a fast
// emitter finds its own pace and no browser's outbox overflows for it.
func (s *Server) Pace(msgs []*Message) {
	bytes := 0
	for _, m := range msgs {
		bytes += m.size()
	}
	s.flushers.pace(bytes)
}

// openPacket is what a client learns first (engine.io/lib/socket.ts, onOpen):
// exactly these keys.
func (s *Server) openPacket(sess *Session, transport string) *Message {
	upgrades := ""
	if transport == transportPolling {
		upgrades = `"` + transportWebSocket + `"`
		if s.opts.WebTransport && sess.protocol == 4 {
			upgrades += `,"` + transportWebTransport + `"`
		}
	}
	b := fmt.Appendf(nil, `{"sid":"%s","upgrades":[%s],"pingInterval":%d,"pingTimeout":%d,"maxPayload":%d}`, // ms, ms, bytes
		sess.id, upgrades, s.opts.PingInterval.Milliseconds(), s.opts.PingTimeout.Milliseconds(), s.opts.MaxPayload)
	return packet(packetOpen, b)
}

// upgradeHeaders are the headers of a WebSocket's handshake beyond its own.
func (s *Server) upgradeHeaders(r *http.Request) http.Header {
	if ParseQuery(r.URL.RawQuery).Has("sid") {
		return nil
	}
	return s.opts.InitialHeaders
}

// refuseOrigin refuses a page of a foreign origin and tells page and operator
// what would let it in.
func (s *Server) refuseOrigin(w http.ResponseWriter, r *http.Request, at site) {
	from := scriptOrigin(r)
	s.log.Warn("refused a page of another origin; to let it in, add it to the setting origins, or, if it is this site's own and a proxy changes Host, "+
		"have the proxy tell X-Forwarded-Host and add the proxy to trusted-proxies",
		"origin", from, "host", at.host, "remote", r.RemoteAddr)
	e := errForbidden
	e.message = "origin " + clip(from, 200) + " is not allowed: add it to the server's setting origins (--origins, FANOUTD_ORIGINS)"
	if r.Header.Get("X-Forwarded-Host") != "" || r.Header.Get("Forwarded") != "" {
		e.message += ", or, if it is this site's own, the proxy in front to trusted-proxies"
	}
	s.refuse(w, r, e)
}

// mismatch is the refusal of a request that asks for a WebSocket by its query
// alone, or by its headers alone.
func mismatch(transport string) protocolError {
	if transport == transportWebSocket {
		return errNoUpgrade
	}
	return errBadRequest
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "..."
	}
	return s
}

// isUpgrade reports whether the request asks for a WebSocket.
func isUpgrade(r *http.Request) bool { return wsconn.IsUpgrade(r) }

// lastValue is how the reference reads a query: flat, the last value wins.
func lastValue(q url.Values, key string) string {
	if v := q[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}
