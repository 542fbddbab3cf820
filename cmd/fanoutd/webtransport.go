package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// webTransport is the listener for WebTransport; nil: there is none.
type webTransport struct {
	packets net.PacketConn
	server  *engineio.WebTransport
	log     *slog.Logger
}

// newWebTransport returns the listener of these packets; nil: there are none.
func newWebTransport(c *config, packets net.PacketConn, sockets *sio.Server, certificates *certificates, log *slog.Logger) *webTransport {
	if packets == nil {
		return nil
	}
	log.Info("serving", "who", "webtransport", "address", packets.LocalAddr().String())
	return &webTransport{packets, sockets.WebTransport(c.browsers.path, certificates.forWebTransport()), log}
}

// serve serves until close.
func (w *webTransport) serve() error {
	if w == nil {
		return nil
	}
	if err := w.server.Serve(w.packets); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving webtransport: %w", err)
	}
	return nil
}

// close ends what the shutdown of the sessions left.
func (w *webTransport) close() {
	if w == nil {
		return
	}
	if err := w.server.Close(); err != nil {
		w.log.Warn("closing webtransport", "error", err)
	}
	w.packets.Close()
}
