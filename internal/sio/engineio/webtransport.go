package engineio

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

// WebTransport carries sessions of a [Server] over HTTP/3. A client opens one
// WebTransport session and in it one bidirectional stream. Create it with
// [NewWebTransport].
type WebTransport struct {
	srv     *Server
	wt      *webtransport.Server
	opening atomic.Int64 // WebTransport sessions that have not said what they want
	closing context.Context
	close   context.CancelFunc
	conns   sync.WaitGroup // Serve, and what serves its connections
}

// readBuffer is the size, in bytes, of a stream's read buffer.
const readBuffer = 512

// Bounds of what one QUIC connection may cost before its peer is known.
const (
	maxOpening       = 1000      // WebTransport sessions without a packet yet, in all
	quicStreams      = 16        // of each kind that a peer may open: it needs two, and HTTP/3 a few
	quicStreamWindow = 256 << 10 // bytes that may be on their way to us in one stream
	quicConnWindow   = 512 << 10 // and in all streams of a connection
	maxQUICHeader    = 16 << 10  // bytes, as for HTTP/1
)

// NewWebTransport returns what serves s over HTTP/3, at path. The certificate is
// the one in c; s must have been made with [Options.WebTransport].
func NewWebTransport(s *Server, path string, c *tls.Config) *WebTransport {
	w := &WebTransport{srv: s}
	w.closing, w.close = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc(path, w.serve)
	w.wt = &webtransport.Server{
		H3: &http3.Server{
			Handler:        mux,
			TLSConfig:      http3.ConfigureTLSConfig(c),
			MaxHeaderBytes: maxQUICHeader,
			Logger:         s.log,
			QUICConfig: &quic.Config{
				// The heartbeat ends a silent session; QUIC must not do so before it.
				MaxIdleTimeout:             s.opts.PingInterval + s.opts.PingTimeout + closeWait,
				HandshakeIdleTimeout:       s.opts.UpgradeTimeout,
				MaxIncomingStreams:         quicStreams,
				MaxIncomingUniStreams:      quicStreams,
				MaxStreamReceiveWindow:     quicStreamWindow,
				MaxConnectionReceiveWindow: quicConnWindow,
				// What WebTransport needs.
				EnableDatagrams:                  true,
				EnableStreamResetPartialDelivery: true,
			},
			ConnContext: w.connContext,
		},
		CheckOrigin: func(*http.Request) bool { return true }, // done before, as for all transports
	}
	return w
}

// Serve takes connections from c until Close; then it returns http.ErrServerClosed.
func (w *WebTransport) Serve(c net.PacketConn) error {
	w.conns.Add(1)
	defer w.conns.Done()
	h3 := w.wt.H3
	listener, err := quic.ListenEarly(c, h3.TLSConfig, h3.QUICConfig)
	if err != nil {
		return err
	}
	defer listener.Close()
	for {
		conn, err := listener.Accept(w.closing)
		switch {
		case w.closing.Err() != nil || errors.Is(err, quic.ErrServerClosed):
			if conn != nil {
				conn.CloseWithError(0, "") //nolint:errcheck // it is gone either way
			}
			return http.ErrServerClosed
		case err != nil:
			return err
		}
		w.conns.Go(func() {
			// The peer's mistake, as one that lets us open no stream.
			if err := w.wt.ServeQUICConn(conn); err != nil {
				conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeGeneralProtocolError), "") //nolint:errcheck // it is gone either way
				w.srv.log.Debug("QUIC connection refused", "error", err, "remote", conn.RemoteAddr().String())
			}
		})
	}
}

// Close ends all connections. The server's sessions are to be shut down before.
func (w *WebTransport) Close() error {
	err := w.wt.Close() // while the listener is there, for the peers to be told
	w.close()
	w.conns.Wait()
	return err
}

// quicConn ends a QUIC connection that has had no WebTransport session for a while: as long as its peer
// sends anything QUIC itself never does.
type quicConn struct {
	conn     *quic.Conn
	wait     time.Duration
	idle     *time.Timer
	sessions atomic.Int64
}

type quicConnKey struct{}

// connContext is for http3.Server: it is called for each connection that begins.
func (w *WebTransport) connContext(ctx context.Context, conn *quic.Conn) context.Context {
	c := &quicConn{conn: conn, wait: w.srv.opts.UpgradeTimeout}
	c.idle = time.AfterFunc(c.wait, c.end)
	context.AfterFunc(conn.Context(), func() { c.idle.Stop() })
	return context.WithValue(ctx, quicConnKey{}, c)
}

// carry keeps the connection of a request until its session has ended.
func carry(r *http.Request, session *webtransport.Session) {
	c, ok := r.Context().Value(quicConnKey{}).(*quicConn)
	if !ok {
		return
	}
	c.sessions.Add(1)
	context.AfterFunc(session.Context(), func() {
		c.sessions.Add(-1)
		if c.conn.Context().Err() == nil {
			c.idle.Reset(c.wait)
		}
	})
}

func (c *quicConn) end() {
	if c.sessions.Load() == 0 {
		c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "no session in time") //nolint:errcheck // it is gone either way
	}
}

// serve answers a request for a WebTransport session. The checks are those of
// the other transports; the reference has none here.
func (w *WebTransport) serve(rw http.ResponseWriter, r *http.Request) {
	s := w.srv
	access := s.access.Load()
	at := access.Proxies.site(r)
	s.warnUntrusted(r, &access.Proxies)
	from, remote := access.Proxies.client(r)
	r.RemoteAddr = remote
	if ok, _ := access.Origins.allows(r, at); !ok {
		s.refuseOrigin(rw, r, at)
		return
	}
	if a := addressOf(remote); s.blocked(a) {
		s.endNamed(r, a)
		s.refuse(rw, r, errBlocked)
		return
	}
	query := r.URL.RawQuery
	transport, hasTransport := parameter(query, "transport")
	sid, hasSID := parameter(query, "sid")
	eio, hasEIO := parameter(query, "EIO")
	switch {
	case hasTransport && transport != transportWebTransport:
		s.refuse(rw, r, errUnknownTransport)
		return
	case hasSID && s.session(sid) == nil:
		s.refuse(rw, r, errUnknownSession)
		return
	case hasEIO && eio != "4":
		s.refuse(rw, r, errVersion)
		return
	}
	if w.opening.Add(1) > maxOpening {
		w.opening.Add(-1)
		s.refuse(rw, r, errFull)
		return
	}
	defer w.opening.Add(-1)
	session, err := w.wt.Upgrade(rw, r)
	if err != nil {
		s.refuse(rw, r, errBadRequest)
		return
	}
	carry(r, session)
	ctx, cancel := context.WithTimeout(session.Context(), s.opts.UpgradeTimeout)
	defer cancel()
	stream, err := session.AcceptStream(ctx)
	if err != nil {
		session.CloseWithError(0, "no stream in time") //nolint:errcheck // it is gone either way
		return
	}
	w.greet(r, wtSession{stream, session}, sid, from)
}

// greet reads the packet that says whether a session is to be opened or taken
// over, and does so. The caller's request names the session too, or none.
func (w *WebTransport) greet(r *http.Request, stream wtStream, sid string, from netip.Addr) {
	s := w.srv
	stream.SetReadDeadline(time.Now().Add(s.opts.UpgradeTimeout))
	reads := &wrappedReader{Reader: stream}
	reader := bufio.NewReaderSize(reads, readBuffer)
	p, err := readStreamFrame(reader, s.opts.MaxPayload)
	stream.SetReadDeadline(time.Time{})
	if err != nil || p.binary || p.kind != packetOpen {
		stream.closeSession()
		return
	}
	if len(p.data) == 0 && sid == "" {
		if !s.openWebTransport(r, stream, reads, reader, from) {
			stream.closeSession()
		}
		return
	}
	var hello struct {
		SID string `json:"sid"`
	}
	if json.Unmarshal(p.data, &hello) != nil || (sid != "" && sid != hello.SID) {
		stream.closeSession()
		return
	}
	sess := s.session(hello.SID)
	if sess == nil || sess.protocol != 4 {
		stream.closeSession()
		return
	}
	sess.countReceived(transportWebTransport, p)
	t, input := newWTConn(sess, stream, reads, reader), &candidateInput{from: addressOf(r.RemoteAddr)}
	if !sess.addCandidate(t, input, func() { t.probe(input) }) {
		stream.closeSession()
	}
}

// openWebTransport opens a session over a stream. There is no answer to refuse
// it by: the stream just ends.
func (s *Server) openWebTransport(r *http.Request, stream wtStream, reads *wrappedReader, reader *bufio.Reader, from netip.Addr) bool {
	sess, refusal := s.admit(r, 4, from, true)
	if refusal != nil {
		s.refused.count(refusal.reason)
		s.log.Debug("WebTransport refused", "message", refusal.message, "remote", r.RemoteAddr)
		return false
	}
	sess.countReceived(transportWebTransport, inbound{kind: packetOpen})
	newWTConn(sess, stream, reads, reader).open()
	return true
}

// wtSession is a stream with the session it is the only one of.
type wtSession struct {
	*webtransport.Stream
	session *webtransport.Session
}

func (w wtSession) closeSession() {
	w.session.CloseWithError(0, "") //nolint:errcheck // it is gone either way
}
