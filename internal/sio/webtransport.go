package sio

import (
	"crypto/tls"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// WebTransport returns what serves the server's clients over HTTP/3, at path,
// with the certificate in c. Options.Engine.WebTransport has to be set.
func (s *Server) WebTransport(path string, c *tls.Config) *engineio.WebTransport {
	return engineio.NewWebTransport(s.engine, path, c)
}
