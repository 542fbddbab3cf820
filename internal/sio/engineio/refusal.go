package engineio

import (
	"encoding/json"
	"net/http"
	"strings"
)

// protocolError is a refusal as the reference words it
// (engine.io/lib/server.ts, Server.errorMessages).
type protocolError struct {
	code    int
	message string
	status  int
}

var (
	errUnknownTransport = protocolError{0, "Transport unknown", http.StatusBadRequest}
	errUnknownSession   = protocolError{1, "Session ID unknown", http.StatusBadRequest}
	errBadMethod        = protocolError{2, "Bad handshake method", http.StatusBadRequest}
	errBadRequest       = protocolError{3, "Bad request", http.StatusBadRequest}
	errNoUpgrade        = protocolError{3, "Bad request: a WebSocket's handshake without the headers Upgrade and Connection, which a proxy in front may have dropped", http.StatusBadRequest}
	errForbidden        = protocolError{4, "Forbidden", http.StatusForbidden}
	errVersion          = protocolError{5, "Unsupported protocol version", http.StatusBadRequest}
)

// The refusals that are ours: for them the code is the nearest, Forbidden, and
// the status says more.
var (
	errAddressBusy = protocolError{4, "Too many sessions of this address have joined nothing", http.StatusTooManyRequests}
	errAddressRate = protocolError{4, "Too many handshakes from this address", http.StatusTooManyRequests}
	errFull        = protocolError{4, "Server full", http.StatusServiceUnavailable}
	errClosing     = protocolError{4, "Server shutting down", http.StatusServiceUnavailable}
)

// retryAfter, in seconds, goes with those that pass; stock clients have a
// backoff of their own.
const retryAfter = "5"

// plainClient is what a WebSocket client hears that speaks no Engine.IO.
const plainClient = ": this is a Socket.IO server, not a plain WebSocket endpoint. " +
	"Connect with a Socket.IO client (protocol v4 or later, such as socket.io-client 3 or 4 from npm) to the same address."

// refuse answers with the error: as JSON, or, where a WebSocket upgrade is
// refused, with the message as plain text and, unless the server is busy, status 400, as
// the reference does.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e protocolError) {
	s.log.Debug("request refused", "code", e.code, "message", e.message, "remote", r.RemoteAddr, "method", r.Method)
	h := w.Header()
	status := http.StatusBadRequest // of a refused upgrade
	if e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable {
		status = e.status
		h.Set("Retry-After", retryAfter)
		h.Set("Connection", "close") // it costs us less to be asked again than to wait
	}
	if isUpgrade(r) {
		// Only this connection's peer is wrong, and it will not speak HTTP again.
		h.Set("Connection", "close")
		h.Set("Content-Type", "text/plain; charset=UTF-8")
		w.WriteHeader(status)
		w.Write([]byte(e.message))
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	body, _ := json.Marshal(struct { // an int and a string cannot fail
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{e.code, e.message})
	w.Write(body)
}

// refuseOrigin refuses a page of a foreign origin and tells page and operator
// what would let it in.
func (s *Server) refuseOrigin(w http.ResponseWriter, r *http.Request, at site) {
	from := scriptOrigin(r)
	s.log.Warn("refused a page of another origin; to let it in, add it to the setting origins, or, if it is this site's own and a proxy changes Host, "+
		"have the proxy tell X-Forwarded-Host and add the proxy to trusted-proxies",
		"origin", from, "host", at.host, "remote", r.RemoteAddr)
	e := errForbidden
	e.message = "origin " + clip(from, 200) + " is not allowed: add it to the server's setting origins (--origins, FANOUTD_ORIGINS)"
	if r.Header.Get("X-Forwarded-Host") != "" || r.Header.Get("Forwarded") != "" {
		e.message += ", or, if it is this site's own, the proxy in front to trusted-proxies"
	}
	s.refuse(w, r, e)
}

// mismatch is the refusal of a request that asks for a WebSocket by its query
// alone, or by its headers alone.
func mismatch(transport string) protocolError {
	if transport == transportWebSocket {
		return errNoUpgrade
	}
	return errBadRequest
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "..."
	}
	return s
}
