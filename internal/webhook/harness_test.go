package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protojson"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// world is a daemon without its control listener, and an HTTP endpoint.
type world struct {
	t        *testing.T
	events   *dispatch.Dispatcher
	browsers *wiretest.Listener
	services *control.Services
	server   *Server
	endpoint *endpointServer
	logged   *log
}

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// endpointServer is an HTTP endpoint that notes what comes, and answers as a test says.
type endpointServer struct {
	listener *wiretest.Listener
	http     *http.Server

	mu       sync.Mutex
	down     string // how; empty: it is not
	requests []request
	busy     map[string]int // requests under way, by connection
	most     int            // at once, of all
	overlap  bool           // two of one connection were under way at once
}

// request is one that came.
type request struct {
	header http.Header
	body   []byte
	event  *fanoutv1.Event
}

func (e *endpointServer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	e.mu.Lock()
	down := e.down
	e.mu.Unlock()
	if down == refuses {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	return e.listener.Dial(ctx, network, address)
}

// The ways in which an endpoint is down.
const (
	refuses = "refuses connections"
	says503 = "answers 503"
)

func (e *endpointServer) setDown(how string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = how
	if how == refuses {
		e.http.SetKeepAlivesEnabled(false) // those that are there end
	} else {
		e.http.SetKeepAlivesEnabled(true)
	}
}

// came returns the requests that came, and forgets them.
func (e *endpointServer) came() []request {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.requests
	e.requests = nil
	return all
}

// answering is what an endpoint answers to an event.
type answering func(w http.ResponseWriter, e *fanoutv1.Event)

func (e *endpointServer) serve(answer answering) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		event := &fanoutv1.Event{}
		if err := protojson.Unmarshal(body, event); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		id := event.GetConnectionId()
		e.mu.Lock()
		e.requests = append(e.requests, request{r.Header.Clone(), body, event})
		e.busy[id]++
		e.overlap = e.overlap || e.busy[id] > 1
		all := 0
		for _, n := range e.busy {
			all += n
		}
		e.most = max(e.most, all)
		down := e.down
		e.mu.Unlock()
		if down == says503 {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			answer(w, event)
		}
		e.mu.Lock()
		e.busy[id]--
		e.mu.Unlock()
	}
}

// accept answers nothing in particular.
func accept(w http.ResponseWriter, _ *fanoutv1.Event) { w.WriteHeader(http.StatusNoContent) }

// inWorld runs f in fake time with these endpoints, whose server answers so.
func inWorld(t *testing.T, o dispatch.Options, answer answering, f func(*world), endpoints ...Endpoint) {
	t.Helper()
	inRecoveringWorld(t, 0, o, answer, f, endpoints...)
}

// inRecoveringWorld is inWorld where clients can come back for so long.
func inRecoveringWorld(t *testing.T, window time.Duration, o dispatch.Options, answer answering, f func(*world), endpoints ...Endpoint) {
	t.Helper()
	inSomeWorld(t, nil, window, o, answer, f, endpoints...)
}

// inTracedWorld is inWorld with spans.
func inTracedWorld(t *testing.T, tracer trace.Tracer, o dispatch.Options, answer answering, f func(*world), endpoints ...Endpoint) {
	t.Helper()
	inSomeWorld(t, tracer, 0, o, answer, f, endpoints...)
}

func inSomeWorld(t *testing.T, tracer trace.Tracer, window time.Duration, o dispatch.Options, answer answering, f func(*world), endpoints ...Endpoint) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, logged: &log{}}
		logger := slog.New(slog.NewTextHandler(w.logged, nil))
		o.Logger = slog.New(slog.DiscardHandler)
		w.events, w.browsers = dispatch.New(o), wiretest.Listen()
		so := sio.Options{Namespaces: []string{"/", "/chat"}, Node: "n 1", Backend: w.events, RecoveryWindow: window}
		so.Engine.Logger = o.Logger
		sockets, err := sio.NewServer(so)
		if err != nil {
			t.Fatal(err)
		}
		web := &http.Server{Handler: sockets}
		go web.Serve(w.browsers)
		var hub control.Hub = sockets
		if tracer != nil {
			hub = tracing.NewServer(sockets, tracer)
		}
		w.services = control.New(hub, control.Options{Dispatcher: control.DispatcherOf(w.events), Info: control.Info{Node: "n 1", MaxPayload: 1e6}, Logger: o.Logger})
		w.endpoint = &endpointServer{listener: wiretest.Listen(), busy: map[string]int{}}
		w.endpoint.http = &http.Server{Handler: w.endpoint.serve(answer)}
		go w.endpoint.http.Serve(w.endpoint.listener)
		w.server = New(Options{Node: "n 1", Events: w.services.Events, Operations: w.services.Emitter, Tracer: tracer, Logger: logger, dial: w.endpoint.dial})
		if len(endpoints) == 0 {
			endpoints = []Endpoint{{}}
		}
		for i := range endpoints {
			if e := &endpoints[i]; e.URL == "" {
				e.URL = "http://endpoint/hear?key=secret"
			}
			if e := &endpoints[i]; e.Group == "" {
				e.Group = "hooks"
			}
		}
		w.server.Set(endpoints)
		synctest.Wait()
		defer func() { // also after a Fatal
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			if err := sockets.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown of the sockets: %v", err)
			}
			web.Close()
			if err := w.server.Close(ctx); err != nil {
				t.Errorf("Close: %v", err)
			}
			w.services.EndStreams()
			w.services.Wait()
			if err := w.endpoint.http.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown of the endpoint: %v", err)
			}
			for _, g := range w.events.Groups() {
				_, _ = w.events.DeleteGroup(g.Name)
			}
		}()
		f(w)
	})
}

// secret is one of Standard Webhooks.
func secret(t *testing.T, n int) *standardwebhooks.Webhook {
	t.Helper()
	w, err := standardwebhooks.NewWebhook("whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(n)}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// secrets are some.
func secrets(all ...*standardwebhooks.Webhook) []*standardwebhooks.Webhook { return all }

// told returns the events of requests, in order, as "name args" or their kind.
func told(all []request) (texts []string) {
	for _, r := range all {
		e := r.event
		text := e.GetKind().String()
		if e.GetKind() == fanoutv1.Event_MESSAGE {
			text = e.GetEvent() + " " + e.GetArgsJson()
		}
		if e.GetAttempt() > 1 {
			text += fmt.Sprint(" attempt ", e.GetAttempt())
		}
		texts = append(texts, text)
	}
	return texts
}
