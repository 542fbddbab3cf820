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

// listenWebTransport opens the listener. Its errors name the setting.
func listenWebTransport(c *config, sockets *sio.Server, certificates *certificates, log *slog.Logger) (*webTransport, error) {
	at := c.listeners.webTransport
	if at.IsZero() {
		return nil, nil
	}
	packets, err := net.ListenPacket("udp", at.Name)
	if err != nil {
		return nil, fmt.Errorf("cannot listen as the setting webtransport-listen says: %w", err)
	}
	log.Info("serving", "who", "webtransport", "address", packets.LocalAddr().String())
	return &webTransport{packets, sockets.WebTransport(c.browsers.path, certificates.forWebTransport()), log}, nil
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
