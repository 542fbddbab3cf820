package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/control/grpcserver"
	"github.com/fanoutd/fanoutd/internal/control/httpserver"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/h2split"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// controlTimeout is for the first bytes of a backend's connection, and for its handshake.
const controlTimeout = 10 * time.Second

// controlServers serve the control API on one listener.
type controlServers struct {
	grpc  *grpcserver.Server
	http  *httpserver.Server
	tls   *tls.Config // nil: in plain text
	calls *api.CallCounter
}

func newControlServers(c *config, services *control.Services, callers *identity.Authenticator, config *tls.Config, traces *api.Traces, log *slog.Logger) *controlServers {
	calls := api.NewCallCounter()
	return &controlServers{
		grpc: grpcserver.New(services, callers, grpcserver.Options{
			TLS: config, MaxStreams: c.limits.controlStreams, Window: engineio.MaxAhead, Traces: traces, Calls: calls,
		}),
		http: httpserver.New(services, callers, httpserver.Options{
			MaxStreams: c.limits.controlStreams, Open: len(c.listeners.credentials()) == 0,
			Hosts: c.listeners.controlHosts, Origins: c.listeners.controlOrigins, Traces: traces, Calls: calls, Logger: log,
		}),
		tls:   config,
		calls: calls,
	}
}

// serve serves until shutdown; then it returns nil.
func (s *controlServers) serve(l net.Listener) error {
	both := h2split.Listen(l, h2split.Options{TLS: s.tls, Timeout: controlTimeout})
	ended := make(chan error, 2)
	go func() { ended <- s.grpc.Serve(both.HTTP2()) }()
	go func() { ended <- s.http.Serve(both.Others()) }()
	err := <-ended
	both.Others().Close() // the other has no reason to go on
	if other := <-ended; err == nil {
		err = other
	}
	return err
}

// shutdown is that of both servers.
func (s *controlServers) shutdown(ctx context.Context) error {
	var serving sync.WaitGroup
	var other error
	serving.Go(func() { other = s.http.Shutdown(ctx) })
	err := s.grpc.Shutdown(ctx)
	serving.Wait()
	if err == nil {
		err = other
	}
	return err
}
