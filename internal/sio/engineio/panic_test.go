package engineio

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// TestPanicEndsItsSession: a panic over what a browser sent ends its session and no other,
// by each transport; it is counted and logged with its stack, of many the first ones.
func TestPanicEndsItsSession(t *testing.T) {
	var log strings.Builder
	opts := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	inBubble(t, opts, func(w *world) {
		_, other := w.open()
		query, polls := w.open()
		w.do("POST", query, "4panic")
		ws, _, err := w.listener.DialWS(t, freshWS)
		if err != nil {
			t.Fatal(err)
		}
		ws.Say("4panic")
		synctest.Wait()
		expect(t, "reason of the polling session", polls.closedWith(), ReasonInternalError)
		expect(t, "reason of the WebSocket", w.sessions[2].closedWith(), ReasonInternalError)
		expect(t, "panics", w.server.Panics(), 2)
		expect(t, "reason of the other session", other.closedWith(), "")
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "a mistake in the server") || !strings.Contains(log.String(), "harness_test.go") {
			t.Errorf("logged %d lines: %s", lines, &log)
		}
		for range 100 {
			query, _ := w.open()
			w.do("POST", query, "4panic")
		}
		synctest.Wait()
		expect(t, "panics", w.server.Panics(), 102)
		expect(t, "lines of the first panics", strings.Count(log.String(), "\n"), firstPanics)
		ws.Close()
	})
}

// panickingHandler panics when a session is opened.
type panickingHandler struct{}

func (panickingHandler) Open(*Session, *http.Request) (Receiver, error) { panic("at the opening") }

// TestPanicAtTheOpening: the session is refused, and nothing is left of it.
func TestPanicAtTheOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(Options{Logger: slog.New(slog.DiscardHandler)}, panickingHandler{})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "/socket.io/?"+fresh, nil))
		expect(t, "body", w.Body.String(), `{"code":4,"message":"internal error"}`)
		expect(t, "panics", s.Panics(), 1)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// panickingWriter panics when a request is answered.
type panickingWriter struct{ http.ResponseWriter }

func (panickingWriter) Header() http.Header { panic("at the answer") }

// TestPanicInARequest: net/http ends the connection, and does not log it once more.
func TestPanicInARequest(t *testing.T) {
	s, err := NewServer(Options{Logger: slog.New(slog.DiscardHandler)}, panickingHandler{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		expect(t, "panic", recover(), any(http.ErrAbortHandler))
		expect(t, "panics", s.Panics(), 1)
	}()
	s.ServeHTTP(panickingWriter{}, httptest.NewRequest("GET", "/socket.io/", nil))
}
