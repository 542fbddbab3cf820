package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a [Handler]. Epoch, Address and Key are required.
type Options struct {
	// Epoch is this node's: what the ids of its sessions begin with.
	Epoch string
	// Address returns where the node with an epoch takes browsers' requests, host:port.
	// Errors: [ErrUnknown], and [ErrAway].
	Address func(epoch string) (string, error)
	// Patience is how long another node may say nothing while a request or a WebSocket is
	// under way there: longer than a poll may take, and than a session says nothing.
	// Default 90 s.
	Patience time.Duration
	// Key is [KeyOf] the secret of the cluster.
	Key []byte
	// Logger hears of nodes that cannot be reached. Default: slog.Default().
	Logger *slog.Logger
}

var (
	// ErrUnknown: there is no such node, or it takes no requests.
	ErrUnknown = errors.New("no such node")
	// ErrAway: the node does not answer at present.
	ErrAway = errors.New("the node does not answer")
)

// DefaultPatience is the default of [Options.Patience]: more than twice what Engine.IO's
// defaults let a session say nothing.
const DefaultPatience = 90 * time.Second

// Bounds of the connections to other nodes.
const (
	dialTimeout  = 2 * time.Second
	idlePerNode  = 256
	idleTimeout  = 20 * time.Second
	maxUnderWay  = 20_000 // polls and WebSockets
	warningPause = 10 * time.Second
)

// Handler serves what is this node's, and hands over what is another's. It is safe for
// concurrent use.
type Handler struct {
	next  http.Handler
	opts  Options
	proxy *httputil.ReverseProxy

	forwarded, failed atomic.Uint64
	underWay          atomic.Int64

	mu     sync.Mutex
	warned map[string]time.Time // when it was last told of what is wrong, by what that is
}

// New returns a Handler in front of next, which serves sessions of this node.
func New(next http.Handler, o Options) *Handler {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	h := &Handler{next: next, opts: o, warned: map[string]time.Time{}}
	h.proxy = &httputil.ReverseProxy{
		Rewrite: h.rewrite,
		Transport: &http.Transport{
			DialContext:         dialer(o.Patience),
			MaxIdleConnsPerHost: idlePerNode, IdleConnTimeout: min(idleTimeout, o.Patience), ResponseHeaderTimeout: o.Patience,
			DisableCompression: true, // as the browser asked, or did not
		},
		FlushInterval: -1,
		ErrorHandler:  h.unreachable,
		ErrorLog:      slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	return h
}

// Stats are counts since the start.
type Stats struct {
	Forwarded uint64 // requests that were another node's
	Failed    uint64 // of those, whose node could not be reached, or did not answer; or were too many
}

// Stats returns the current counts.
func (h *Handler) Stats() Stats { return Stats{h.forwarded.Load(), h.failed.Load()} }

// target says in a request's context where it goes.
type target struct{ address, owner, sid string }

type targetKey struct{}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sid := sidOf(r.URL.RawQuery)
	if header := r.Header.Get(Header); header != "" {
		m, ok := parseMark(h.opts.Key, header, sid, time.Now())
		r.Header.Del(Header)
		if ok && m.owner == h.opts.Epoch {
			r.RemoteAddr, r.TLS = m.client, nil
			if m.secure {
				r.TLS = &tls.ConnectionState{} // that there was one is all that counts
			}
			h.next.ServeHTTP(w, r)
			return
		}
		h.astray(sid, ok) // and never handed over again
		h.next.ServeHTTP(w, r)
		return
	}
	owner := h.ownerOf(sid)
	if owner == "" {
		h.next.ServeHTTP(w, r)
		return
	}
	address, err := h.opts.Address(owner)
	if errors.Is(err, ErrUnknown) {
		h.next.ServeHTTP(w, r)
		return
	}
	h.forwarded.Add(1)
	defer h.underWay.Add(-1)
	if n := h.underWay.Add(1); err != nil || n > maxUnderWay {
		h.refuse(w)
		return
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") { // for as long as it lives
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Time{})
		_ = c.SetWriteDeadline(time.Time{})
	}
	ctx := context.WithValue(r.Context(), targetKey{}, target{address, owner, sid})
	h.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// MarkedOnly refuses what no node has handed over, for a listener that only nodes are to
// reach. Whether the mark is a good one is the [Handler]'s to find out.
func MarkedOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(Header) == "" {
			http.Error(w, "403: other nodes of the cluster hand over requests here", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownerOf returns the epoch of the node whose session it is; empty: it is this node's, or
// nobody's.
func (h *Handler) ownerOf(sid string) string {
	n := len(h.opts.Epoch)
	if len(sid) <= n || sid[:n] == h.opts.Epoch {
		return ""
	}
	return sid[:n]
}

// astray says what may be wrong where a request has a mark and is not for this node, or
// its mark is none of a moment ago (not ok). It may be as well that the node has restarted
// meanwhile, or that a browser made the mark.
func (h *Handler) astray(sid string, ok bool) {
	switch owner := h.ownerOf(sid); {
	case ok && owner == "":
	case ok && h.warns("astray "+owner):
		h.opts.Logger.Warn("another node has handed over a browser's request that is not for this one: where the addresses lead is wrong; see cluster-forward-address", "epoch", owner)
	case !ok && h.warns("mark"):
		h.opts.Logger.Warn("a browser's request says that a node has handed it over, and proves it badly: if no browser made that up, the nodes' secrets differ, or their clocks by more than a minute")
	}
}

// sidOf returns the session's id of a query, empty if there is none. Ids need no
// escaping, so one that is escaped is none.
func sidOf(query string) string {
	for len(query) > 0 {
		pair, rest, _ := strings.Cut(query, "&")
		if sid, ok := strings.CutPrefix(pair, "sid="); ok {
			return sid
		}
		query = rest
	}
	return ""
}

// rewrite makes the request to the other node: as it came, but for Expect, with the mark.
func (h *Handler) rewrite(r *httputil.ProxyRequest) {
	to := r.In.Context().Value(targetKey{}).(target)
	r.SetURL(&url.URL{Scheme: "http", Host: to.address})
	r.Out.URL.Path, r.Out.URL.RawPath, r.Out.URL.RawQuery = r.In.URL.Path, r.In.URL.RawPath, r.In.URL.RawQuery
	r.Out.Host = r.In.Host
	r.Out.Header.Del("Expect") // this node tells the client to go on; the other's word would be a second one
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values := r.In.Header[name]; values != nil {
			r.Out.Header[name] = values
		}
	}
	m := mark{at: time.Now(), owner: to.owner, client: r.In.RemoteAddr, secure: r.In.TLS != nil}
	r.Out.Header.Set(Header, m.sign(h.opts.Key, to.sid))
}

// unreachable answers for a node that cannot be reached: the stock client takes its
// session for lost, and comes back.
func (h *Handler) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil || errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // the browser is gone
	}
	h.failed.Add(1)
	to := r.Context().Value(targetKey{}).(target)
	if h.warns(to.address) {
		h.opts.Logger.Warn("a browser's request cannot be handed over to its node", "epoch", to.owner, "address", to.address, "error", err)
	}
	h.answerUnavailable(w)
}

// refuse answers what is not handed over.
func (h *Handler) refuse(w http.ResponseWriter) {
	h.failed.Add(1)
	h.answerUnavailable(w)
}

func (*Handler) answerUnavailable(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"code":1,"message":"Session ID unknown: its node cannot be reached"}`))
}

// warns reports whether it is time for a line about something.
func (h *Handler) warns(what string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if now.Sub(h.warned[what]) < warningPause {
		return false
	}
	if len(h.warned) > 1000 {
		clear(h.warned)
	}
	h.warned[what] = now
	return true
}
