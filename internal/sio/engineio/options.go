package engineio

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// Options of a [Server]. The zero value is valid and has the reference's
// defaults (engine.io/lib/server.ts) where the reference has the option.
type Options struct {
	// PingInterval is the time from the opening, or from a pong, to the next
	// ping. Default 25 s.
	PingInterval time.Duration
	// Epoch is what all ids of this server begin with, sessions' and sockets' alike, so
	// that others know whose they are: EpochLength characters of the URL-safe base64
	// alphabet. Default: none, ids are random from the start.
	Epoch string
	// PingTimeout is how long a pong may take. Default 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout is how long a candidate transport may take to finish its
	// upgrade; then it alone is closed. Default 10 s.
	UpgradeTimeout time.Duration
	// MaxConnectionAge is how long a session may be open, give or take a tenth, which is
	// drawn for each; then it is closed with [ReasonMaxAge]: clients that come back by
	// themselves spread anew over the servers that there are by then. Default: for ever.
	MaxConnectionAge time.Duration
	// MaxPayload bounds, in bytes, one polling request's body and one WebSocket
	// message from a browser. Default 1,000,000.
	MaxPayload int64
	// MaxQueue bounds, in bytes, what may wait for one session, 128 for each
	// message beside its own. A session that falls further behind is closed with
	// [ReasonSlowConsumer]. Default 4 MiB.
	MaxQueue int
	// Origins lists what web pages may connect, besides those of the same
	// origin: "https://app.example.com", "https://*.example.com" for one more
	// label, "capacitor://localhost" and the like, "null" for pages that have no
	// origin, or "*" for all pages of the web. See [ParseOrigins].
	Origins Origins
	// Proxies lists the reverse proxies in front, whose word counts about whom a
	// request comes from and which host it was sent to. See [ParseProxies].
	// Default: none.
	Proxies Proxies
	// Blocked reports whether an address is blocked: what is asked from it is refused with
	// 403. It is called with each request, and must not block. Default: none is.
	Blocked func(netip.Addr) bool
	// Limits bounds who may hold sessions. The zero value has defaults.
	Limits Limits
	// NoHTTPCompression leaves the bodies of polls as they are. By default those
	// of 1024 bytes and more are compressed for clients that take it.
	NoHTTPCompression bool
	// AllowEIO3 lets clients of Engine.IO v3 in too: Socket.IO v2. Default off, as
	// in the reference.
	AllowEIO3 bool
	// Transports lists those that may carry sessions: a request for another is
	// refused as one for an unknown transport, and no upgrade to it is offered.
	// Default: all.
	Transports Transports
	// WebTransport says that a [WebTransport] serves beside this server, so that
	// polling clients hear that they may upgrade to it.
	WebTransport bool
	// PerMessageDeflate compresses WebSocket messages of 1024 bytes and more for
	// clients that offer it (RFC 7692), without context: each once, for all its
	// recipients. It costs a few KiB for each connection that reads. Default off,
	// as in the reference.
	PerMessageDeflate bool
	// Cookie holds the session's id, for load balancers that keep a session's
	// requests together by one. It is set with the first poll's answer. Default:
	// none.
	Cookie Cookie
	// InitialHeaders are added to the answer that opens a session, whichever
	// transport carries it.
	InitialHeaders http.Header
	// Logger gets peers' mistakes at debug level and refused origins as
	// warnings. Default: slog.Default().
	Logger *slog.Logger
}

// Defaults of [Options].
const (
	DefaultPingInterval   = 25 * time.Second
	DefaultPingTimeout    = 20 * time.Second
	DefaultUpgradeTimeout = 10 * time.Second
	DefaultMaxPayload     = 1_000_000
	DefaultMaxQueue       = 4 << 20
)

// Bounds that are not worth a setting.
const (
	// closeWait bounds the last writes and the wait for the peer's side of a
	// WebSocket close.
	closeWait = 5 * time.Second
	// shutdownWait is the same, and the wait for polls that are on their way, in
	// a shutdown: a browser that lives answers within a round trip or two, and
	// the operator waits.
	shutdownWait = time.Second
	// lastPollWait is how long a closed polling session waits for the GET that
	// fetches its close packet, as in the reference (engine.io/lib/transports/polling.ts).
	lastPollWait = 30 * time.Second
	// overtakenPollWait is the same after the browser's own close packet: its
	// poll travels on another connection and may come second.
	overtakenPollWait = time.Second
)

func (o Options) withDefaults() (Options, error) {
	o.PingInterval = orDefault(o.PingInterval, DefaultPingInterval)
	o.PingTimeout = orDefault(o.PingTimeout, DefaultPingTimeout)
	o.UpgradeTimeout = orDefault(o.UpgradeTimeout, DefaultUpgradeTimeout)
	o.MaxPayload = orDefault(o.MaxPayload, DefaultMaxPayload)
	o.MaxQueue = orDefault(o.MaxQueue, DefaultMaxQueue)
	o.Limits = o.Limits.withDefaults()
	if err := checkEpoch(o.Epoch); err != nil {
		return o, fmt.Errorf("engineio: Epoch: %w", err)
	}
	if err := o.Cookie.check(); err != nil {
		return o, fmt.Errorf("engineio: Cookie: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"PingInterval", o.PingInterval}, {"PingTimeout", o.PingTimeout}, {"UpgradeTimeout", o.UpgradeTimeout}} {
		// The open packet carries them as whole milliseconds.
		if d.v < time.Millisecond {
			return o, fmt.Errorf("engineio: %s is %v, must be at least 1ms", d.name, d.v)
		}
	}
	if o.MaxPayload < 0 || o.MaxQueue < 0 || o.MaxConnectionAge < 0 {
		return o, fmt.Errorf("engineio: MaxPayload, MaxQueue and MaxConnectionAge must not be negative")
	}
	return o, nil
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
