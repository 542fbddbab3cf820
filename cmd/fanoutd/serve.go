package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/consumers"
	"github.com/fanoutd/fanoutd/internal/cluster/forward"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/console"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/datadir"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/fastpath"
	"github.com/fanoutd/fanoutd/internal/loadmeter"
	"github.com/fanoutd/fanoutd/internal/ops"
	"github.com/fanoutd/fanoutd/internal/scavenge"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/webhook"
)

// What one HTTP peer may cost. Bodies and pending polls are bounded by the
// Engine.IO server, which knows how long they may take.
const (
	headerTimeout  = 10 * time.Second // from accept to the end of the headers
	idleTimeout    = 75 * time.Second // longer than the 60 s after which common proxies drop an idle connection
	maxHeaderBytes = 16 << 10         // as Node.js, where the reference runs
	maxStreams     = 100              // requests under way of one HTTP/2 connection: two for each of a browser's polling tabs (RFC 9113 advises no less)
	opsTimeout     = 2 * time.Minute  // one operators' page, a profile of a minute included
)

// daemon is all servers, made for each other.
type daemon struct {
	config          *config
	source          *source
	log             *slog.Logger
	listeners       *listeners
	certificates    *certificates
	bus             clusterBus            // to other nodes; nil: there is no cluster
	node            *cluster.Node         // this one among them; nil likewise
	relay           *consumers.Dispatcher // between them; nil likewise
	data            *datadir.Dir          // nil: nothing is kept
	blocks          *blocks.Keeper
	ready           ops.Readiness
	drain           *drain.Drain
	load            *loadmeter.Meter
	active          activityMeter
	admission       *admissionSources
	admitted        *admission.Backend
	consumers       *dispatch.Dispatcher
	sockets         *sio.Server
	services        *control.Services
	webhooks        *webhook.Server
	webhookSettings webhookSettings
	callers         *identity.Authenticator
	calledBy        *connections.Limiter     // the connections of callers
	controlKeys     atomic.Pointer[[]string] // those of control-key that a reload has brought
	backends        *controlServers
	browsers        *fastpath.Server
	forwarded       *fastpath.Server // what other nodes hand over, if that has a listener of its own
	webTransport    *webTransport
	traces          *sdktrace.TracerProvider // nil: there are none
	operators       *http.Server
	history         *console.History // for the console; nil: it is not served
	manager         *serviceManager
}

// serve runs the daemon until ctx ends or a listener fails; only that, and a
// start that was not possible, is an error.
func serve(ctx context.Context, c *config, log *slog.Logger, lines logWriter, from *source) error {
	l, err := bind(ctx, c)
	if err != nil {
		return err
	}
	nodes, err := openBus(&c.cluster, log)
	if err != nil {
		l.close()
		return err
	}
	data, err := openData(&c.operations)
	if err != nil {
		if nodes != nil {
			nodes.Close()
		}
		l.close()
		return err
	}
	d, err := newDaemon(c, log, lines, l, nodes, data)
	if err != nil {
		if data != nil {
			data.Close()
		}
		if nodes != nil {
			nodes.Close()
		}
		l.close()
		return err
	}
	d.source = from
	return d.run(ctx)
}

func newDaemon(c *config, log *slog.Logger, lines logWriter, l *listeners, nodes clusterBus, data *datadir.Dir) (*daemon, error) {
	d := &daemon{config: c, log: log, listeners: l, bus: nodes, data: data, manager: &serviceManager{log: log}}
	d.drain = drain.New(c.operations.drain, d.counts, d.notReady)
	d.load = loadmeter.New(func() (open, most int) { return d.sockets.OpenSessions(), d.sockets.MaxSessions() })
	b := readBuild()
	var err error
	if d.certificates, err = openCertificates(c, log); err != nil {
		return nil, err
	}
	if d.admission, err = newAdmissionSources(c, log); err != nil {
		return nil, err
	}
	d.ready.Missing = d.admission.missing
	if d.blocks, err = newKeeper(c.cluster.node, data, log); err != nil {
		return nil, err
	}
	if d.traces, err = newTraces(c, b.version, log); err != nil {
		return nil, err
	}
	if nodes != nil {
		tells := link.Options{Connections: d.connections, Load: d.busy, Activity: d.announcedActivity}
		if d.node, err = newNode(c, l, tells, b.version, d.drain, d.blocks, log); err != nil {
			return nil, err
		}
	}
	events := dispatch.Options{Namespaces: c.namespaces.names, OthersDecide: c.hook.on(), Tracer: d.tracer(), Logger: log}
	if d.node != nil {
		events.Epoch = d.node.Self().Epoch
	}
	c.consumers.options(&events)
	d.consumers = dispatch.New(events)
	engine := engineio.Options{WebTransport: !c.listeners.webTransport.IsZero(), Logger: log}
	c.browsers.options(&engine)
	c.limits.engineOptions(&engine)
	c.operations.engineOptions(&engine)
	d.admitted = admission.New(d.consumers, log, d.admission.then(d.consumers, d.blocks.User))
	sockets := sio.Options{Node: c.cluster.node, Engine: engine, Backend: d.admitted, Owners: d.consumers, ChangeListener: d.consumers, SecretQuery: c.tokens.secretQuery(), Blocks: d.blocks}
	if d.node != nil {
		sockets.Engine.Epoch, sockets.Interest, sockets.Backend = d.node.Self().Epoch, d.node.Interest(), d.node.Backend(d.admitted)
	}
	c.exposure.options(&sockets)
	c.namespaces.options(&sockets)
	c.limits.options(&sockets)
	if d.node != nil && sockets.RecoveryWindow > 0 {
		sockets.Others = d.node.Others()
	}
	d.sockets, err = sio.NewServer(sockets)
	if err != nil {
		return nil, err
	}
	d.active.sockets = d.sockets
	d.blocks.Enforce(d.sockets)
	d.services = control.New(d.hub(), control.Options{
		Info: control.Info{
			Version: b.version, Commit: b.commit, Node: c.cluster.node, Epoch: sockets.Engine.Epoch, StartedAt: time.Now(),
			Listeners: l.list(), Connections: d.connections, Load: d.busy, Activity: d.activity,
			MaxRequest: c.limits.controlRequest, MaxPayload: c.limits.payload, PingInterval: c.browsers.pingInterval, PingTimeout: c.browsers.pingTimeout,
		},
		Dispatcher: d.dispatcher(),
		Keys:       d.keys(),
		Blocks:     d.blocksOf(),
		Nodes:      d.nodes(),
		Drain:      d.drainNode,
		Rebalance:  d.rebalance(),
		Logger:     log,
	})
	d.webhooks = d.newWebhooks()
	if d.callers, err = newCallers(&c.listeners); err != nil {
		return nil, err
	}
	d.calledBy = connections.New(connections.Options{Max: c.limits.controlConns, Logger: log})
	d.backends = newControlServers(c, d.services, d.callers, d.certificates.forBackends(), d.callTraces(), log)
	sources := ops.Sources{Sockets: d.sockets.Stats, Consumers: d.consumers.Stats, Admission: d.admitted.Stats, Certificates: d.certificates.watcher.Expiries}
	sources.Calls, sources.Webhooks = d.calls, d.webhooks.Stats
	sources.Load = d.load.Load
	sources.Blocks = d.blocks.Counts
	sources.State = func() ops.State {
		return ops.State{Ready: d.ready.Why() == "", Draining: d.drain.Phase() != drain.Serving}
	}
	sources.Refusals = d.services.Errors.Refusals
	sources.Connections = func() ops.Connections { return ops.Connections(d.calledBy.Stats()) }
	sources.Process = func() ops.Process {
		return ops.Process{LogLinesLost: lines.Lost(), Panics: map[string]uint64{
			"browsers": d.sockets.Stats().Panics, "backends": d.services.Errors.Panics(),
		}}
	}
	d.browsers = d.browserServer(bounded(pages(c, d.engine(&sources), d.sockets, display(l.backends), b.version), c.browsers.pingInterval+c.browsers.pingTimeout))
	d.forwarded = d.browserServer(forward.MarkedOnly(d.browsers.Handler))
	d.browsers.TLSConfig = d.certificates.forBrowsers()
	if c.browsers.proxyProtocol {
		d.browsers.ConnContext, d.browsers.Handler = connContext, bySecure(d.browsers.Handler)
	}
	registry := ops.NewRegistry(ops.Build{Version: b.version, Commit: b.commit, GoVersion: b.goVersion},
		d.admission.metrics(sources))
	metrics := ops.Metrics(registry)
	d.operators = d.httpServer(ops.Handler(&d.ready, metrics, d.console(metrics, b.version)))
	d.operators.WriteTimeout = opsTimeout
	d.webTransport = newWebTransport(c, l.webTransport, d.sockets, d.certificates, log)
	if err := d.authorizeWebhooks(&c.webhooks); err != nil {
		return nil, err
	}
	return d, d.startNode()
}

// connections is how many connections this node has.
func (d *daemon) connections() int { return d.sockets.ConnectionCount() }

// busy is how busy this node is.
func (d *daemon) busy() float64 { return d.load.Load().Ratio() }

func (d *daemon) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          newHTTPLog(d.log),
	}
}

// browserServer is an httpServer that serves handshakes and polls past net/http.
func (d *daemon) browserServer(h http.Handler) *fastpath.Server {
	return fastpath.New(d.httpServer(h), fastpath.Options{PollPath: d.config.browsers.path, Logger: d.log})
}

// serveBrowsers serves what browsers ask for. With TLS net/http serves all of it: a
// first request cannot be looked at before it is decrypted.
func (d *daemon) serveBrowsers(l net.Listener) error {
	if d.config.browsers.proxyProtocol {
		l = d.listenToProxies(l)
	}
	if d.browsers.TLSConfig != nil {
		return d.browsers.ServeTLS(l, "", "")
	}
	return d.browsers.Serve(l)
}

// bounded gives a peer so long to send what belongs to its request, which net/http
// reads to the end before it answers even if nobody wants it, and to take the
// answer. Polls, which answer late, set their own time for that.
func bounded(h http.Handler, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, until := http.NewResponseController(w), time.Now().Add(d)
		c.SetWriteDeadline(until)
		if r.ContentLength != 0 {
			c.SetReadDeadline(until)
		}
		h.ServeHTTP(w, r)
	})
}

// run serves until ctx ends or a listener fails, and shuts down in order.
func (d *daemon) run(ctx context.Context) error {
	failed := make(chan error, 5)
	var serving sync.WaitGroup
	background, end := context.WithCancel(context.Background())
	serving.Go(func() { d.admission.run(background) })
	serving.Go(func() { d.keepKeys(background) })
	serving.Go(func() { d.load.Run(background) })
	if d.history != nil {
		serving.Go(func() { d.history.Run(background) })
	}
	serving.Go(func() { scavenge.Run(background) })
	serving.Go(func() { d.blocks.Run(background) })
	serving.Go(func() { d.certificates.watch(background) })
	d.setWebhooks(&d.config.webhooks)
	serving.Go(func() { d.keepWebhooks(background) })
	serving.Go(func() { newFollower(d.config, d.source, d.reloaders(), d.log).run(background) })
	for _, x := range []struct {
		who   string
		at    net.Listener
		serve func(net.Listener) error
	}{
		{"operators", d.listeners.operators, d.operators.Serve},
		{"backends", d.listeners.backends, func(l net.Listener) error { return d.backends.serve(d.calledBy.Listen(l)) }},
		{"browsers", d.listeners.browsers, d.serveBrowsers},
		{"forwarded", d.listeners.forwarded, d.forwarded.Serve},
	} {
		if x.at == nil {
			continue
		}
		d.log.Info("serving", "who", x.who, "address", display(x.at))
		serving.Go(func() {
			if err := x.serve(x.at); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serving %s: %w", x.who, err)
			}
		})
	}
	serving.Go(func() {
		if err := d.webTransport.serve(); err != nil {
			failed <- err
		}
	})
	d.config.warn(d.log)
	d.ready.Ready()
	d.log.Info("ready", "version", version)
	d.manager.ready()
	serving.Go(func() { d.manager.watch(background, d.connections) })

	var err error
	select {
	case <-ctx.Done():
		d.drain.Begin(drain.Overrides{})
	case <-d.drain.Begun():
	case err = <-failed:
		d.log.Error("shutting down after a failure", "error", err)
		d.drain.Begin(drain.Overrides{Delay: new(time.Duration), Time: new(time.Duration)}) // who would be served meanwhile?
	}
	d.manager.stopping(d.longestShutdown())
	d.shutdown()
	end()
	d.admission.close()
	serving.Wait()
	d.closeData()
	return err
}
