package connections

import (
	"container/list"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/warning"
)

const (
	// DefaultMax is how many connections there may be. A backend has one or a few.
	DefaultMax = 2000

	// DefaultTimeout is how long a connection may be a stranger's: for TLS, the HTTP/2
	// handshake and the first call on a bad network.
	DefaultTimeout = 10 * time.Second

	// Of all places strangers may have one in strangersPart, but minStrangers at least, or
	// a few backends that come at the same moment would make room for each other.
	strangersPart = 4
	minStrangers  = 64
)

// Reason is why a connection was closed here.
type Reason string

// The reasons.
const (
	// Full: a new one, as all places are those of callers that are known.
	Full Reason = "control-max-connections"
	// CrowdedOut: the oldest stranger's, to make room for a new one.
	CrowdedOut Reason = "crowded-out"
	// NoCall: a stranger's, as nobody known has called in time.
	NoCall Reason = "no-call"
	// KeyEnded: one whose caller's key is valid no longer.
	KeyEnded Reason = "key-ended"
)

var reasons = []Reason{Full, CrowdedOut, NoCall, KeyEnded}

// Options of a [Limiter].
type Options struct {
	// Max is how many connections there may be; negative: any number. Default
	// [DefaultMax].
	Max int

	// Timeout is how long a connection may be a stranger's. Default [DefaultTimeout].
	Timeout time.Duration

	// Logger is told, once in ten seconds, of connections that there is no room for.
	// Default: slog.Default().
	Logger *slog.Logger
}

// Limiter bounds connections. Its methods may be called at once.
type Limiter struct {
	max          int // negative: any number
	maxStrangers int
	timeout      time.Duration
	log          *slog.Logger
	full         warning.Throttle
	crowded      warning.Throttle

	mu        sync.Mutex
	open      int
	strangers *list.List // of *Conn, the oldest first
	closed    map[Reason]uint64
}

// New returns a Limiter.
func New(o Options) *Limiter {
	if o.Max == 0 {
		o.Max = DefaultMax
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	l := &Limiter{
		max: o.Max, maxStrangers: max(o.Max/strangersPart, minStrangers), timeout: o.Timeout, log: o.Logger,
		strangers: list.New(), closed: map[Reason]uint64{},
	}
	for _, r := range reasons {
		l.closed[r] = 0 // a rate needs a first value
	}
	return l
}

// Stats is what is known of the connections.
type Stats struct {
	Open      int               // connections
	Strangers int               // of these, by which nobody known calls
	Closed    map[string]uint64 // since the start, by [Reason]; not by their peers or by who serves them
}

// Stats returns what is known now.
func (l *Limiter) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Open: l.open, Strangers: l.strangers.Len(), Closed: make(map[string]uint64, len(reasons))}
	for reason, n := range maps.All(l.closed) {
		s.Closed[string(reason)] = n
	}
	return s
}

// Listen returns a listener of the connections that l accepts and that there is room for.
func (l *Limiter) Listen(from net.Listener) net.Listener { return &listener{from, l} }

type listener struct {
	net.Listener
	limiter *Limiter
}

// Accept returns the next connection, a [*Conn]. It closes those that there is no room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.limiter.admit(c); admitted != nil {
			return admitted, nil
		}
	}
}

// admit makes room for a new connection, or closes it, and returns nil.
func (l *Limiter) admit(raw net.Conn) *Conn {
	c := &Conn{Conn: raw, limiter: l}
	c.stranger.Store(true)
	l.mu.Lock()
	var victim *Conn
	if l.max >= 0 && (l.open >= l.max || l.strangers.Len() >= l.maxStrangers) {
		victim = l.oldestLocked()
	}
	switch {
	case victim != nil:
		l.removeLocked(victim, CrowdedOut)
	case l.max >= 0 && l.open >= l.max:
		l.closed[Full]++
		l.mu.Unlock()
		_ = raw.Close() // nobody has said anything
		if n, ok := l.full.Event(); ok {
			l.log.Warn("too many connections to the control API: closed new ones", "setting", Full, "connections", n, "remote", raw.RemoteAddr())
		}
		return nil
	}
	l.open++
	c.place = l.strangers.PushBack(c)
	c.timer = time.AfterFunc(l.timeout, c.check)
	l.mu.Unlock()
	if victim != nil {
		_ = victim.Conn.Close()
		if n, ok := l.crowded.Event(); ok {
			l.log.Warn("too many connections to the control API by which nobody calls with a key: closed the oldest", "setting", Full, "connections", n, "remote", victim.RemoteAddr())
		}
	}
	return c
}

// oldestLocked returns the connection that has been a stranger's for the longest time, nil
// if there is none.
func (l *Limiter) oldestLocked() *Conn {
	for e := l.strangers.Front(); e != nil; e = l.strangers.Front() {
		c := e.Value.(*Conn)
		if known, _ := c.known(); !known {
			return c
		}
		c.welcomeLocked() // a call has begun just now
	}
	return nil
}

// removeLocked gives up a connection's place. Without a reason it was closed by others.
func (l *Limiter) removeLocked(c *Conn, why Reason) {
	if c.removed {
		return
	}
	c.removed = true
	c.timer.Stop()
	if c.place != nil {
		l.strangers.Remove(c.place)
		c.place = nil
	}
	l.open--
	if why != "" {
		l.closed[why]++
	}
}
