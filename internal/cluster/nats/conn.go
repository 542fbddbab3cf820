package nats

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

const (
	// writeTimeout ends a connection that takes nothing: Publish may wait so long.
	writeTimeout = 2 * time.Second
	// flushTimeout bounds how long Subscribe waits until the server knows, and Close
	// until it has what was published.
	flushTimeout = 2 * time.Second

	// How a server that is silent is noticed: after pingInterval times pingsOut+1 at most.
	// A process of a busy machine may well be late by a second, hence three.
	pingInterval = time.Second
	pingsOut     = 3

	warnEvery = 10 * time.Second

	minReconnectDelay = 100 * time.Millisecond
	maxReconnectDelay = 5 * time.Second
)

// conn is a client's connection to a NATS server, as a bus.
type conn struct {
	prefix     string // of all subjects, with a dot at its end; or empty
	client     *nats.Conn
	log        *slog.Logger
	refused    atomic.Uint64 // messages that Publish did not take while the server was away
	reconnects atomic.Uint64
	slow       rate.Sometimes // slow handlers are logged
	running    sync.WaitGroup // calls of handlers

	mu            sync.Mutex
	closed        bool
	subscriptions []*subscription
	ended         uint64 // what subscriptions that have ended dropped
}

var _ bus.Bus = (*conn)(nil)

// options are the client's options that all connections have.
func (c *conn) options(name string) []nats.Option {
	var failing atomic.Bool // an attempt to connect has been logged
	return []nats.Option{
		nats.Name(name),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.FlusherTimeout(writeTimeout),
		nats.SkipSubjectValidation(), // done by this package
		nats.NoCallbacksAfterClientClose(),

		// It comes back for ever; what is published meanwhile is refused, not kept.
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(reconnectDelay),

		nats.ConnectHandler(func(client *nats.Conn) {
			c.connected(client)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			failing.Store(false)
			c.log.Warn("the NATS server is away", "error", err)
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			level := slog.LevelWarn
			if failing.Swap(true) {
				level = slog.LevelDebug
			}
			c.log.Log(context.Background(), level, "cannot reach the NATS server: trying for ever", "error", err)
		}),
		nats.ReconnectHandler(func(client *nats.Conn) {
			c.reconnects.Add(1)
			c.connected(client)
		}),
		nats.ErrorHandler(c.failed),
		nats.LameDuckModeHandler(func(*nats.Conn) {
			c.log.Info("the NATS server is about to stop: it will close this connection, and another server is taken then")
		}),
	}
}

// reconnectDelay is how long to wait once all servers were tried, for the n-th time: it
// doubles, and is spread so that nodes do not come back all at once.
func reconnectDelay(n int) time.Duration {
	delay := maxReconnectDelay
	if n < 6 { // 2^6 times the least exceeds the most
		delay = min(minReconnectDelay<<n, maxReconnectDelay)
	}
	return delay/2 + rand.N(delay/2)
}

// failed logs what went wrong besides the connection; handlers that are too slow, which
// the client may tell a thousand times a second, once in a while.
func (c *conn) failed(_ *nats.Conn, s *nats.Subscription, err error) {
	subject := ""
	if s != nil {
		subject = c.local(s.Subject)
	}
	if !errors.Is(err, nats.ErrSlowConsumer) {
		c.log.Warn("the connection to the NATS server", "error", err, "subject", subject)
		return
	}
	c.slow.Do(func() {
		c.log.Warn("messages from other nodes arrive faster than they are handled, and some are lost", "subject", subject, "dropped", c.Dropped())
	})
}

// connected logs where the connection leads.
func (c *conn) connected(client *nats.Conn) {
	if client.Opts.InProcessServer != nil { // it has no address for clients, and says one all the same
		c.log.Debug("connected to this node's NATS server")
	} else {
		c.log.Info("connected to the NATS server", "server", client.ConnectedUrlRedacted(), "version", client.ConnectedServerVersion())
	}
	if most := client.MaxPayload(); most < bus.MaxPayload {
		c.log.Error("the NATS server takes too small messages for a cluster: set its max_payload", "max_payload", most, "needed", bus.MaxPayload)
	}
}

// Publish implements bus.Bus. It waits for writeTimeout if the server takes nothing.
func (c *conn) Publish(subject, reply string, payload []byte) error {
	if !bus.ValidSubject(subject) || reply != "" && !bus.ValidSubject(reply) {
		return bus.ErrSubject
	}
	if len(payload) > bus.MaxPayload {
		return bus.ErrTooLarge
	}
	var err error
	if reply == "" {
		err = c.client.Publish(c.prefix+subject, payload)
	} else {
		err = c.client.PublishRequest(c.prefix+subject, c.prefix+reply, payload)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return bus.ErrTooLarge
	case errors.Is(err, nats.ErrConnectionClosed):
		return bus.ErrClosed
	}
	// The client is reconnecting, or finds out just now that it must.
	c.refused.Add(1)
	return bus.ErrNotConnected
}

// Subscribe implements bus.Bus.
func (c *conn) Subscribe(subject string, f func(bus.Message)) (bus.Subscription, error) {
	if !bus.ValidPattern(subject) {
		return nil, bus.ErrSubject
	}
	s := &subscription{conn: c, handler: f}
	var err error
	s.client, err = c.client.Subscribe(c.prefix+subject, s.receive)
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil, bus.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	if err := s.client.SetPendingLimits(bus.MaxPendingMessages, bus.MaxPending); err != nil {
		return nil, bus.ErrClosed // all that can be wrong with it
	}
	if !c.add(s) {
		s.end()
		return nil, bus.ErrClosed
	}
	// If the server goes away meanwhile, it is told of the subscription as it comes back.
	if c.client.IsConnected() {
		_ = c.client.FlushTimeout(flushTimeout)
	}
	return s, nil
}

// add keeps a subscription, unless the bus is closed.
func (c *conn) add(s *subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.subscriptions = append(c.subscriptions, s)
	}
	return !c.closed
}

// remove forgets a subscription and remembers what it dropped. false: it was forgotten already.
func (c *conn) remove(s *subscription, dropped uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.subscriptions, s)
	if i < 0 {
		return false
	}
	c.subscriptions = slices.Delete(c.subscriptions, i, i+1)
	c.ended += dropped
	return true
}

// list returns the subscriptions there are, and what those before them dropped.
func (c *conn) list() ([]*subscription, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.subscriptions), c.ended
}

// Connected implements bus.Bus.
func (c *conn) Connected() bool { return c.client.IsConnected() }

// Dropped implements bus.Bus.
func (c *conn) Dropped() uint64 {
	subscriptions, dropped := c.list()
	for _, s := range subscriptions {
		dropped += s.dropped()
	}
	return dropped + c.refused.Load()
}

// Close implements bus.Bus. What was published is sent first, within flushTimeout.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	subscriptions, _ := c.list()
	for _, s := range subscriptions {
		_ = s.Unsubscribe() // fails if the connection is closed, which ends it too
	}
	if c.client.IsConnected() {
		_ = c.client.FlushTimeout(flushTimeout)
	}
	c.client.Close()
	c.running.Wait()
	return nil
}

// local returns a subject as the callers of this package know it.
func (c *conn) local(subject string) string { return strings.TrimPrefix(subject, c.prefix) }
