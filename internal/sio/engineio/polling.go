package engineio

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// poll is a pending GET: the writer of its session's outbox for one response.
type poll struct {
	signal chan struct{} // holds one: look again
}

func (p *poll) wake() {
	select {
	case p.signal <- struct{}{}:
	default:
	}
}

// crowded does nothing: how fast a client polls is its own affair.
func (p *poll) crowded() {}

// openPolling answers the request that opened the session.
func (s *Session) openPolling(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.openLocked(phasePolling)
	s.mu.Unlock()
	maps.Copy(w.Header(), s.srv.opts.InitialHeaders)
	if c := s.srv.opts.Cookie.with(s.id); c != nil {
		http.SetCookie(w, c)
	}
	// A browser that does not get this knows no sid: the timeouts take the session.
	x := s.begin(w, r)
	defer s.finish(x)
	_ = s.writePayload(w, r, x, []*Message{s.srv.openPacket(s, transportPolling)})
}

// servePoll answers a GET with what waits, or as soon as something does.
func (s *Session) servePoll(w http.ResponseWriter, r *http.Request) {
	s.awaitCandidate()
	p := &poll{signal: make(chan struct{}, 1)}
	x := s.begin(w, r)
	defer s.finish(x)
	from := addressOf(r.RemoteAddr)
	s.mu.Lock()
	overlap, carried := s.poll != nil, s.link != nil
	if !overlap && !carried {
		s.poll = p
		s.out.attach(p)
		s.carriedFromLocked(from)
	}
	s.mu.Unlock()
	s.endIfBlocked(from)
	switch {
	case carried: // since this request was looked at
		s.srv.refuse(w, r, errBadRequest)
		return
	case overlap:
		s.CloseWith(ReasonTransportError, "a poll came while another was pending")
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	defer s.endPoll(p)
	for {
		msgs, last := s.out.take(p, nil)
		if len(msgs) > 0 {
			s.answering(p)
			if err := s.writePayload(w, r, x, msgs); err != nil {
				s.Close(ReasonTransportError)
			}
			return
		}
		if last {
			// An earlier poll has fetched the last message: the session is gone.
			s.srv.refuse(w, r, errUnknownSession)
			return
		}
		if s.upgrading() {
			s.answering(p)
			_ = s.writePayload(w, r, x, []*Message{noopPacket}) // nothing is lost with it
			return
		}
		select {
		case <-p.signal:
		case <-r.Context().Done():
			s.requestAbandoned()
			return
		}
	}
}

// upgrading reports whether polls are to return at once, because the browser
// waits for its last one to end before it changes over.
func (s *Session) upgrading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == phaseProbed || s.link != nil
}

// answering lets the next GET come: a browser that has the last byte of an answer
// may send it before the handler that wrote that has returned. It waits for its
// turn at the outbox.
func (s *Session) answering(p *poll) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll == p {
		s.poll = nil
	}
}

func (s *Session) endPoll(p *poll) {
	s.out.detach(p)
	s.answering(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out.drained() {
		s.signalLastTakenLocked()
	}
}

// servePost handles the packets of a POST.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request) {
	x := s.begin(w, r)
	defer s.finish(x)
	s.mu.Lock()
	overlap := s.post != nil
	if !overlap {
		s.post = x
	}
	s.mu.Unlock()
	if overlap {
		s.CloseWith(ReasonTransportError, "a POST came while another was handled")
		s.discard(r, x)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	defer func() {
		s.mu.Lock()
		s.post = nil
		s.mu.Unlock()
	}()
	// v4 has no binary payloads; the reference crashed on them (CVE-2026-59725).
	t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	binary := t == "application/octet-stream"
	if binary && s.protocol != 3 {
		s.discard(r, x)
		s.CloseWith(ReasonTransportError, "a binary POST")
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body, err := s.readBody(w, r, x)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		s.discard(r, x)
		w.WriteHeader(http.StatusRequestEntityTooLarge) // the session lives on
		return
	}
	if err != nil {
		s.requestAbandoned()
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if isJSONP(r) {
		payload, ok := unwrapJSONP(body)
		if !ok {
			postOK(w) // nothing in it, as in the reference
			return
		}
		body = payload
	}
	s.endIfBlocked(addressOf(r.RemoteAddr)) // since the request came
	s.in.Lock()
	err = s.payloadDecoder(binary)(body, func(p inbound) bool {
		s.handle(transportPolling, p)
		select {
		case <-s.Done():
			return false
		default:
			return true
		}
	})
	s.in.Unlock()
	if err != nil {
		s.CloseWith(ReasonParseError, err.Error())
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	x.allowWrite(s.srv.heartbeatBound()) // a backend may have held it up
	postOK(w)
}

// heartbeatBound is how long a peer may take to send a body or to read an answer:
// the heartbeat of a slower one fails anyway.
func (s *Server) heartbeatBound() time.Duration { return s.opts.PingInterval + s.opts.PingTimeout }

// payloadDecoder returns what reads the payloads of this session's client.
func (s *Session) payloadDecoder(binary bool) func([]byte, func(inbound) bool) error {
	switch {
	case s.protocol != 3:
		return decodePayload
	case binary:
		return decodeBinaryPayloadV3
	}
	return decodePayloadV3
}

func postOK(w http.ResponseWriter) {
	h := w.Header()
	// Not text/plain: a browser that is made to open this should not render it.
	h.Set("Content-Type", "text/html")
	h.Set("Cache-Control", "no-store")
	w.Write([]byte("ok"))
}

// readBody reads a POST's body within the bounds of size and time.
func (s *Session) readBody(w http.ResponseWriter, r *http.Request, x *exchange) ([]byte, error) {
	x.allowRead(s.srv.heartbeatBound())
	if r.ContentLength > s.srv.opts.MaxPayload {
		return nil, &http.MaxBytesError{Limit: s.srv.opts.MaxPayload}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.srv.opts.MaxPayload))
	if err == nil { // else what is left of it is still to be read
		x.endRead()
	}
	return body, err
}

// discard reads on in a body that is refused, as far as is reasonable: a client
// that is answered while still sending may find the connection reset before the answer.
func (s *Session) discard(r *http.Request, x *exchange) {
	x.allowRead(s.srv.heartbeatBound())
	if r.Header.Get("Expect") == "" { // else it asks before it sends
		_, _ = io.CopyN(io.Discard, r.Body, discarded*s.srv.opts.MaxPayload)
	}
}

// discarded bounds what is read to be thrown away, in payloads.
const discarded = 4

// writePayload answers a request with the payload of msgs, and returns when the
// connection has taken it.
func (s *Session) writePayload(w http.ResponseWriter, r *http.Request, x *exchange, msgs []*Message) error {
	s.countSent(transportPolling, msgs)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	var payload []byte
	switch {
	case s.protocol != 3:
		payload = appendPayload(nil, msgs)
	case s.framing&framingBase64 == 0 && hasBinary(msgs) && !isJSONP(r):
		payload = appendBinaryPayloadV3(nil, msgs)
		h.Set("Content-Type", "application/octet-stream")
	default:
		payload = appendPayloadV3(nil, msgs)
	}
	h.Set("Cache-Control", "no-store")
	if j, has := parameter(r.URL.RawQuery, "j"); has {
		payload = wrapJSONP(j, payload)
		h.Set("Content-Type", "text/javascript; charset=UTF-8")
		h.Set("X-Content-Type-Options", "nosniff")
	}
	payload = s.srv.compressBody(h, r, payload)
	h.Set("Content-Length", strconv.Itoa(len(payload)))
	x.allowWrite(s.srv.heartbeatBound())
	if _, err := w.Write(payload); err != nil {
		return err
	}
	err := x.control.Flush() // else net/http writes a short one after the session has let go of the request
	if errors.Is(err, http.ErrNotSupported) {
		return nil // not net/http's writer
	}
	return err
}
