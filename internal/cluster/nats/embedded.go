package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

const (
	startTimeout = 10 * time.Second       // until the server listens
	startStep    = 100 * time.Millisecond // between looks whether it cannot

	// handshakeTimeout is how long TLS may take with a peer; half of what the whole greeting may.
	handshakeTimeout = 5 * time.Second

	// routePool is how many connections there are between two servers. All subjects are
	// those of one account, which NATS keeps on one connection, in order.
	routePool = 1
	// retries is how often a server tries to reach a peer that it knows from others and
	// not from Peers, one second apart: those it knows from Peers, it tries for ever.
	retries = 600
	// retriesReported is how many attempts in a row make one more line in the log.
	retriesReported = 600

	// maxPending bounds what waits in the server for this node's client, in bytes. It is
	// seldom needed, for the client takes everything and drops what handlers are too slow
	// for; but beyond it the server closes the connection, and all that waits is lost.
	maxPending = 2 * bus.MaxPending
	// maxConnections bounds who may knock at the listener on loopback that nobody needs.
	maxConnections = 64
)

// Options are those of an embedded server.
type Options struct {
	Node      string        // this node's name, for logs
	Cluster   string        // servers of another name are refused: one word without dots and blanks
	Listen    string        // where routes come in: host:port; port 0 is any
	Advertise string        // where others reach Listen: host:port, or host; empty: as they see it
	Peers     []Peer        // the other nodes; also itself does no harm
	Secret    []byte        // what all nodes know and nobody else does; empty: none, everybody who reaches Listen is let in
	TLS       *RouteTLS     // nil: routes are not encrypted
	Resolver  Resolver      // nil: net.DefaultResolver
	Resolve   time.Duration // how often names of peers are looked up, about; default 5 s
	Logger    *slog.Logger  // nil: none
}

// Embedded is a bus with a server of its own.
type Embedded struct {
	*conn
	server  *server.Server
	options Options
	log     *slog.Logger
	token   string // of the one client

	end     context.CancelFunc
	running sync.WaitGroup
}

// NewEmbedded starts a server and connects to it. Peers need not be there yet. It
// fails if Listen cannot be listened on.
func NewEmbedded(o Options) (*Embedded, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Resolve == 0 {
		o.Resolve = resolveEvery
	}
	e := &Embedded{options: o, log: o.Logger.With("bus", "embedded"), token: rand.Text()}
	if err := e.start(); err != nil {
		return nil, err
	}
	background, end := context.WithCancel(context.Background())
	e.end = end
	e.running.Go(func() { e.followPeers(background) })
	return e, nil
}

// start starts the server, and connects to it.
func (e *Embedded) start() error {
	o, err := e.serverOptions(e.staticRoutes())
	if err != nil {
		return err
	}
	if e.server, err = server.NewServer(o); err != nil {
		return fmt.Errorf("the embedded NATS server: %w", err)
	}
	log := newServerLog(e.log, e.password())
	e.server.SetLoggerV2(log, log.debugging(), false, false)
	e.server.Start()
	if err := e.awaitListeners(log); err != nil {
		e.server.Shutdown()
		return err
	}
	e.conn = &conn{log: e.log, slow: rate.Sometimes{Interval: warnEvery}}
	e.client, err = nats.Connect("", append(e.conn.options(e.options.Node), nats.InProcessServer(e.server), nats.Token(e.token))...)
	if err != nil {
		e.server.Shutdown()
		return fmt.Errorf("connecting to the embedded NATS server: %w", err)
	}
	return nil
}

// awaitListeners waits until the server listens, or cannot.
func (e *Embedded) awaitListeners(log *serverLog) error {
	for late := time.Now().Add(startTimeout); log.failure() == nil; {
		switch {
		case e.server.ReadyForConnections(startStep):
			return nil
		case time.Now().After(late):
			return fmt.Errorf("the embedded NATS server does not listen on %s after %v", e.options.Listen, startTimeout)
		}
	}
	return fmt.Errorf("the embedded NATS server cannot listen on %s: %w", e.options.Listen, log.failure())
}

// serverOptions are the server's, with routes to others. Each call makes them anew:
// the server writes into those that it is given.
func (e *Embedded) serverOptions(routes []*url.URL) (*server.Options, error) {
	host, port, err := splitAddress(e.options.Listen)
	if err != nil {
		return nil, fmt.Errorf("the address to listen on: %w", err)
	}
	o := &server.Options{
		// A node that comes back is not to be taken for a second one of the same name.
		ServerName: e.options.Node + "-" + e.token[:8],
		NoSigs:     true,

		// Nobody connects here: without a listener for clients the server keeps those for
		// routes from ever starting.
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		Authorization: e.token,
		MaxConn:       maxConnections,

		NoSystemAccount: true, // what it would publish is statistics that nobody reads
		MaxPayload:      bus.MaxPayload,
		MaxPending:      maxPending,
		PingInterval:    pingInterval,
		MaxPingsOut:     pingsOut,
		WriteDeadline:   writeTimeout,

		Cluster: server.ClusterOpts{
			Name: e.options.Cluster,
			Host: host, Port: port, Advertise: e.options.Advertise,
			TLSTimeout:     handshakeTimeout.Seconds(),
			AuthTimeout:    (2 * handshakeTimeout).Seconds(),
			PoolSize:       routePool,
			PingInterval:   pingInterval,
			MaxPingsOut:    pingsOut,
			ConnectRetries: retries,
		},
		Routes:                routes,
		ConnectErrorReports:   retriesReported,
		ReconnectErrorReports: retriesReported,
	}
	if len(e.options.Secret) > 0 {
		o.Cluster.Username, o.Cluster.Password = routeUser, e.password()
	}
	if e.options.TLS != nil {
		o.Cluster.TLSConfig = e.options.TLS.config
	}
	return o, nil
}

// splitAddress splits host:port, for the server, to whom -1 is any port.
func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, errors.New("the port is no number up to 65535")
	}
	if number == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(number), nil
}

// Address returns where routes come in.
func (e *Embedded) Address() string { return e.server.ClusterAddr().String() }

// Close implements bus.Bus. The peers get what was published before.
func (e *Embedded) Close() error {
	e.end()
	e.running.Wait()
	err := e.conn.Close()
	e.server.Shutdown()
	e.server.WaitForShutdown()
	return err
}
