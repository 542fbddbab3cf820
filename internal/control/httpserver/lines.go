package httpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// linesWire sends answers as lines of JSON, or as server-sent events, to one request.
type linesWire struct {
	w       http.ResponseWriter
	events  bool
	request []byte
	asked   bool // for the request
	begun   bool // the headers are sent
}

// begin sends the headers.
func (l *linesWire) begin() {
	if l.begun {
		return
	}
	l.begun = true
	h := l.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if l.events {
		h.Set("Content-Type", "text/event-stream")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx, which would hold back what is not much
	l.w.WriteHeader(http.StatusOK)
}

func (l *linesWire) receive(req any) error {
	if l.asked {
		return io.EOF
	}
	l.asked = true
	return (&message{data: l.request, decode: decodeJSON}).into(req)
}

func (l *linesWire) send(answer any) error {
	var line []byte
	if answer != nil {
		var err error
		if line, err = encodeJSON(answer); err != nil {
			return err
		}
	}
	l.begin()
	return l.write("", line)
}

// write writes a line, as an event of this name, empty for that of an answer, and whatever
// waits.
func (l *linesWire) write(event string, line []byte) error {
	if line != nil {
		var text strings.Builder
		if event != "" && l.events {
			text.WriteString("event: " + event + "\n")
		}
		if l.events {
			text.WriteString("data: ")
		}
		text.Write(line)
		text.WriteByte('\n')
		if l.events {
			text.WriteByte('\n')
		}
		if _, err := io.WriteString(l.w, text.String()); err != nil {
			return err
		}
	}
	return http.NewResponseController(l.w).Flush()
}

// serveLines answers a call of one request and many answers that came as plain JSON.
func (s *Server) serveLines(w http.ResponseWriter, r *http.Request, c *call) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		s.writeError(withStatus{w, http.StatusUnsupportedMediaType}, r, c.end(errEncoding))
		return
	}
	ctx, cancel, err := withDeadline(r)
	if err != nil {
		s.writeError(w, r, c.end(err))
		return
	}
	defer cancel()
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(c.method.limit)))
	if err != nil {
		s.writeError(w, r, c.end(unreadable(err)))
		return
	}
	c.hasRead()
	l := &linesWire{w: w, events: acceptsEvents(r), request: request}
	err = s.run(ctx, c, l)
	switch {
	case err != nil && !l.begun:
		s.writeError(w, r, err)
		return
	case err != nil:
		err = l.write("error", s.errorLine(err))
	case l.events:
		l.begin()
		err = l.write("end", []byte("{}"))
	default:
		l.begin()
		err = l.write("", nil)
	}
	c.broken = err != nil
}

// withDeadline is a request's context, with the deadline that Connect-Timeout-Ms sets.
// INVALID_ARGUMENT if it is no number of up to ten digits.
func withDeadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	timeout := r.Header.Get("Connect-Timeout-Ms")
	if timeout == "" {
		return r.Context(), func() {}, nil
	}
	ms, err := strconv.ParseUint(timeout, 10, 64)
	if err != nil || len(timeout) > 10 {
		return nil, nil, status.Error(codes.InvalidArgument, "Connect-Timeout-Ms: must be a number of milliseconds, of ten digits at most")
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(ms)*time.Millisecond)
	return ctx, cancel, nil
}

// unreadable is what a request ends with that does not come, or is too large.
func unreadable(err error) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return status.Errorf(codes.ResourceExhausted, "the request is larger than the %d bytes that it may have", tooLarge.Limit)
	}
	return status.Error(codes.Canceled, "the request has not come")
}

// acceptsEvents reports whether a client takes server-sent events.
func acceptsEvents(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		if strings.Contains(accept, "text/event-stream") {
			return true
		}
	}
	return false
}

// errorLine is {"error":{…}} with what Connect answers where an error comes first.
func (s *Server) errorLine(err error) []byte {
	var to capture
	r := &http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}}
	s.writeError(&to, r, err)
	return append(append([]byte(`{"error":`), to.body...), '}')
}

// capture is an answer that stays here.
type capture struct {
	header http.Header
	body   []byte
}

func (c *capture) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

func (c *capture) WriteHeader(int) {}

func (c *capture) Write(p []byte) (int, error) {
	c.body = append(c.body, p...)
	return len(p), nil
}
