package engineio

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// protocolError is a refusal as the reference words it
// (engine.io/lib/server.ts, Server.errorMessages).
type protocolError struct {
	code    int
	message string
	status  int
	reason  refusalReason
}

// refusalReason is what [Server.Refused] counts a refusal under: the setting that
// says so, where there is one.
type refusalReason uint8

const (
	refusedProtocol refusalReason = iota // the request is none of Engine.IO
	refusedUnknownSession
	refusedOrigins
	refusedBlocked
	refusedMaxSessions
	refusedMaxAddressSessions
	refusedMaxAddressPending
	refusedMaxAddressRate
	refusedMaxHandshakeRate
	refusedShutdown
	refusalReasons // how many there are
)

func (r refusalReason) String() string {
	return [refusalReasons]string{
		"protocol", "unknown-session", "origins", "blocked",
		"max-sessions", "max-address-sessions", "max-address-pending", "max-address-rate", "max-handshake-rate",
		"shutdown",
	}[r]
}

// refusals counts what was refused, by its reason.
type refusals [refusalReasons]atomic.Uint64

func (c *refusals) count(r refusalReason) { c[r].Add(1) }

// Refused returns how many requests, mostly handshakes, were refused since the start,
// by reason: the name of the setting that says so, or "protocol" (the request is none
// of Engine.IO), "unknown-session", "blocked" ([Options.Blocked]) and "shutdown".
func (s *Server) Refused() map[string]uint64 {
	by := make(map[string]uint64, refusalReasons)
	for r := range refusalReasons {
		by[r.String()] = s.refused[r].Load()
	}
	return by
}

var (
	errUnknownTransport = protocolError{0, "Transport unknown", http.StatusBadRequest, refusedProtocol}
	errUnknownSession   = protocolError{1, "Session ID unknown", http.StatusBadRequest, refusedUnknownSession}
	errBadMethod        = protocolError{2, "Bad handshake method", http.StatusBadRequest, refusedProtocol}
	errBadRequest       = protocolError{3, "Bad request", http.StatusBadRequest, refusedProtocol}
	errNoUpgrade        = protocolError{3, "Bad request: a WebSocket's handshake without the headers Upgrade and Connection, which a proxy in front may have dropped", http.StatusBadRequest, refusedProtocol}
	errForbidden        = protocolError{4, "Forbidden", http.StatusForbidden, refusedProtocol}
	errVersion          = protocolError{5, "Unsupported protocol version", http.StatusBadRequest, refusedProtocol}
)

// The refusals that are ours: for them the code is the nearest, Forbidden, and
// the status says more.
var (
	errAddressFull = protocolError{4, "Too many sessions of this address", http.StatusTooManyRequests, refusedMaxAddressSessions}
	errAddressBusy = protocolError{4, "Too many sessions of this address have joined nothing", http.StatusTooManyRequests, refusedMaxAddressPending}
	errAddressRate = protocolError{4, "Too many handshakes from this address", http.StatusTooManyRequests, refusedMaxAddressRate}
	errRate        = protocolError{4, "Server busy: too many handshakes", http.StatusServiceUnavailable, refusedMaxHandshakeRate}
	errFull        = protocolError{4, "Server full", http.StatusServiceUnavailable, refusedMaxSessions}
	errBlocked     = protocolError{4, "blocked", http.StatusForbidden, refusedBlocked}
	errClosing     = protocolError{4, "Server shutting down", http.StatusServiceUnavailable, refusedShutdown}
)

// Refusal is what a client may be answered in place of Engine.IO, for people.
type Refusal struct {
	Code    int // in the body
	Status  int
	Message string
	Counted string // as [Server.Refused] has it
	When    string
}

// Refusals are all of them.
func Refusals() []Refusal {
	origin := errForbidden
	origin.reason, origin.message = refusedOrigins, "origin … is not allowed: …"
	rows := []struct {
		protocolError
		when string
	}{
		{errUnknownTransport, "The query names no `transport` that is served, or `transports` leaves it out."},
		{errUnknownSession, "The session has ended, or another node has it: a balancer in front without sticky sessions. Stock clients come back by themselves."},
		{errBadMethod, "A session is opened by GET."},
		{errBadRequest, "The request does not fit the session, or its query."},
		{errNoUpgrade, "A proxy in front does not pass WebSockets on: see `deploy` for settings of several."},
		{errForbidden, "A way in that is not allowed for the session."},
		{origin, "The page's origin is none of `origins`; the message says what to set."},
		{errVersion, "The client speaks another version of Engine.IO: socket.io-client 3 and 4 speak 4, and 2 speaks 3, which `allow-eio3` lets in."},
		{errAddressFull, "The address has `max-address-sessions` sessions."},
		{errAddressBusy, "The address has `max-address-pending` sessions that joined no namespace."},
		{errAddressRate, "The address exceeds `max-address-rate`."},
		{errRate, "The node's `max-handshake-rate` is exceeded."},
		{errFull, "The node has `max-sessions` sessions."},
		{errBlocked, "The address is blocked: [RegistryService.Block](api.md#registryserviceblock)."},
		{errClosing, "The node drains or shuts down."},
	}
	all := make([]Refusal, len(rows))
	for i, r := range rows {
		all[i] = Refusal{r.code, r.status, r.message, r.reason.String(), r.when}
	}
	return all
}

// retryAfter, in seconds, goes with those that pass, and up to as much again: who is
// refused together is not to come back together. Stock clients have a back-off of
// their own.
const retryAfter = 5

// plainClient is what a WebSocket client hears that speaks no Engine.IO.
const plainClient = ": this is a Socket.IO server, not a plain WebSocket endpoint. " +
	"Connect with a Socket.IO client (protocol v4 or later, such as socket.io-client 3 or 4 from npm) to the same address."

// refuse answers with the error: as JSON, or, where a WebSocket upgrade is
// refused, with the message as plain text and, unless the server is busy or the address
// blocked, status 400, as the reference does.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, e protocolError) {
	s.refused.count(e.reason)
	s.log.Debug("request refused", "code", e.code, "message", e.message, "remote", r.RemoteAddr, "method", r.Method)
	h := w.Header()
	status := http.StatusBadRequest // of a refused upgrade
	switch {
	case e.reason == refusedBlocked:
		status = e.status
	case e.status == http.StatusTooManyRequests, e.status == http.StatusServiceUnavailable:
		status = e.status
		h.Set("Retry-After", strconv.Itoa(retryAfter+rand.N(retryAfter+1)))
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

// maxTold bounds, in bytes, how much of a header is told: a peer may send 16 KiB of it.
const maxTold = 200

// refuseOrigin refuses a page of a foreign origin and tells page and operator
// what would let it in, the latter not more often than is of use.
func (s *Server) refuseOrigin(w http.ResponseWriter, r *http.Request, at site) {
	from := scriptOrigin(r)
	if n, ok := s.foreign.Event(); ok {
		s.log.Warn("refused a page of another origin; to let it in, add it to the setting origins, or, if it is this site's own and a proxy changes Host, "+
			"have the proxy tell X-Forwarded-Host and add the proxy to trusted-proxies",
			"origin", clip(from, maxTold), "host", clip(at.host, maxTold), "remote", r.RemoteAddr, "requests", n)
	}
	e := errForbidden
	e.reason = refusedOrigins
	e.message = "origin " + clip(from, maxTold) + " is not allowed: add it to the server's setting origins (--origins, FANOUTD_ORIGINS)"
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
