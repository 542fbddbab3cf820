package httpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

const (
	emitPath = fanoutv1.EmitterService_Emit_FullMethodName
	ackPath  = fanoutv1.EmitterService_EmitWithAck_FullMethodName
	tailPath = fanoutv1.EventService_Tail_FullMethodName
)

// fakeHub records the operations that reach it.
type fakeHub struct {
	control.Hub
	before func() // called by Apply; may panic
	late   bool   // Apply takes longer than its callers wait

	mu  sync.Mutex
	ops []sio.Op
}

func (h *fakeHub) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	if h.before != nil {
		h.before()
	}
	if h.late {
		<-ctx.Done()
		return sio.Result{}, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	return sio.Result{Matched: 7}, nil
}

// EmitWithAck has two connections answer, and five not.
func (h *fakeHub) EmitWithAck(_ context.Context, _ sio.AckRequest, yield func(sio.AckResult) bool) (sio.AckSummary, error) {
	for _, id := range []string{"a", "b"} {
		yield(sio.AckResult{ConnectionID: id, Outcome: sio.Disconnected})
	}
	return sio.AckSummary{Expected: 7, TimedOut: 5, Disconnected: 2}, nil
}

func (h *fakeHub) HasNamespace(context.Context, string) (bool, error) { return true, nil }

func (h *fakeHub) applied() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

// world is a server of a fakeHub, and what its log says.
type world struct {
	*Server
	t     *testing.T
	hub   *fakeHub
	calls *api.CallCounter
	log   lockedBuffer
	at    string
}

type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// serve serves callers that a knows until the test ends.
func serve(t *testing.T, a *identity.Authenticator, o Options) *world {
	t.Helper()
	w := &world{t: t, hub: &fakeHub{}, calls: api.NewCallCounter()}
	services := control.New(w.hub, control.Options{
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Info: control.Info{MaxRequest: 1 << 20},
		Dispatcher: control.DispatcherOf(dispatch.New(dispatch.Options{Logger: slog.New(slog.DiscardHandler)})),
	})
	o.Logger, o.Calls = slog.New(slog.DiscardHandler), w.calls
	w.Server = New(services, a, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.at = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- w.Serve(l) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		services.Wait()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return w
}

// callers knows those with these keys, and everybody without any.
func callers(t *testing.T, keys ...identity.Key) *identity.Authenticator {
	t.Helper()
	a, err := identity.NewAuthenticator(keys, len(keys) == 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// request is a POST of JSON, with these headers instead of its own.
func (w *world) request(path, body string, headers ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+w.at+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (w *world) do(r *http.Request) *http.Response {
	w.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// wireError is an error as Connect has it.
type wireError struct {
	Code    string
	Message string
	Details []struct {
		Type  string
		Debug struct {
			Reason          string
			FieldViolations []struct{ Field string }
		}
	}
}

// says is what a program is told: the reason, or the fields at fault.
func (e *wireError) says() string {
	var all []string
	for _, d := range e.Details {
		if d.Debug.Reason != "" {
			all = append(all, d.Debug.Reason)
		}
		for _, v := range d.Debug.FieldViolations {
			all = append(all, v.Field)
		}
	}
	return strings.Join(all, " ")
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Calls with one answer, in plain JSON: what they answer, and how they are refused.
func TestJSON(t *testing.T) {
	w := serve(t, callers(t, identity.Key{Name: "x", Secret: "xx"}, identity.Key{Name: "y", Secret: "yy", Rights: identity.Rights{Scopes: []identity.Scope{identity.Read}}}), Options{})
	const good = `{"to":{"all":true},"event":"e"}`
	for _, tt := range []struct {
		name, path, key, body string
		headers               []string
		status                int
		code, says            string // or the answer, and in how many calls the hub had a part
	}{
		{"an emit", emitPath, "xx", good, nil, 200, `{"matched":7}`, "1"},
		{"with the names of the contract", emitPath, "xx", `{"to":{"all":true},"event":"e","args_json":"[1]","argsJson":"[1]"}`, nil, 400, "invalid_argument", "argsJson"},
		{"with names in either form", emitPath, "xx", `{"to":{"all":true},"event":"e","args_json":"[1]"}`, nil, 200, `{"matched":7}`, "1"},
		{"with a charset", emitPath, "xx", good, []string{"Content-Type", "application/json; charset=utf-8"}, 200, `{"matched":7}`, "1"},
		{"with a charset that is misspelt", emitPath, "xx", good, []string{"Content-Type", "application/json;charset=utf8"}, 200, `{"matched":7}`, "1"},
		{"with another parameter", emitPath, "xx", good, []string{"Content-Type", "Application/JSON; profile=x"}, 200, `{"matched":7}`, "1"},
		{"with Connect's header", emitPath, "xx", good, []string{"Connect-Protocol-Version", "1"}, 200, `{"matched":7}`, "1"},
		{"without a key", emitPath, "", good, nil, 401, "unauthenticated", "KEY_MISSING"},
		{"with another key", emitPath, "zz", good, nil, 401, "unauthenticated", "KEY_INVALID"},
		{"without the scope", emitPath, "yy", good, nil, 403, "permission_denied", "SCOPE_MISSING"},
		{"a field at fault", emitPath, "xx", `{"to":{"all":true}}`, nil, 400, "invalid_argument", "event"},
		{"an unknown field", emitPath, "xx", `{"to":{"al":true},"event":"e"}`, nil, 400, "invalid_argument", "to.al"},
		{"no JSON", emitPath, "xx", `{"to":`, nil, 400, "invalid_argument", ""},
		{"nothing", emitPath, "xx", ``, nil, 400, "invalid_argument", ""},
		{"no JSON, without a key", emitPath, "", `{"to":`, nil, 401, "unauthenticated", "KEY_MISSING"},
		{"too large", emitPath, "xx", `{"event":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 429, "resource_exhausted", ""},
		{"a form", emitPath, "xx", good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "invalid_argument", ""},
		{"text, as pages may send without asking", emitPath, "xx", good, []string{"Content-Type", "text/plain"}, 415, "invalid_argument", ""},
		{"a method that there is not", "/fanout.v1.EmitterService/No", "xx", good, nil, 501, "unimplemented", ""},
		{"the same without a key", "/fanout.v1.EmitterService/No", "", good, nil, 401, "unauthenticated", "KEY_MISSING"},
		{"both ways", fanoutv1.EventService_Consume_FullMethodName, "xx", `{}`, nil, 501, "unimplemented", ""},
		{"both ways, in Connect's form", fanoutv1.EventService_Consume_FullMethodName, "xx", `{}`, []string{"Content-Type", "application/connect+json"}, 200, "{\"error\":{\"code\":\"unimplemented\"", ""},
		{"both ways, without a key", fanoutv1.EventService_Consume_FullMethodName, "", `{}`, nil, 401, "unauthenticated", "KEY_MISSING"},
		{"health, which has a few bytes", "/grpc.health.v1.Health/Check", "", `{` + strings.Repeat(" ", maxOpenBytes) + `}`, nil, 429, "resource_exhausted", ""},
		{"health, which needs no key", "/grpc.health.v1.Health/Check", "", `{}`, nil, 200, `{"status":"SERVING"}`, "0"},
		{"another path", "/nowhere", "", `{}`, nil, 404, "this is fanoutd's control API", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := w.hub.applied()
			headers := slices.Clone(tt.headers)
			if tt.key != "" {
				headers = append(headers, "Authorization", "Bearer "+tt.key)
			}
			resp := w.do(w.request(tt.path, tt.body, headers...))
			text := readAll(t, resp)
			var e wireError
			switch {
			case resp.StatusCode != tt.status:
				t.Errorf("got HTTP status %d with %s, want %d", resp.StatusCode, text, tt.status)
			case tt.status == 404 || strings.HasPrefix(tt.code, `{"error"`):
				if !strings.Contains(text, tt.code) {
					t.Errorf("got %q, want %q", text, tt.code)
				}
			case tt.status == 200:
				if text != tt.code || fmt.Sprint(w.hub.applied()-before) != tt.says {
					t.Errorf("got %s with %d operations, want %s with %s", text, w.hub.applied()-before, tt.code, tt.says)
				}
			case json.Unmarshal([]byte(text), &e) != nil || e.Code != tt.code || e.says() != tt.says || e.Message == "":
				t.Errorf("got %s, want %s with %q", text, tt.code, tt.says)
			}
			if tt.status != 200 && w.hub.applied() != before {
				t.Error("something was done")
			}
		})
	}
	for _, line := range []string{"reason=SCOPE_MISSING method=" + emitPath, "caller=y remote=127.0.0.1:"} {
		if !strings.Contains(w.log.String(), line) {
			t.Errorf("the log does not say %s:\n%s", line, &w.log)
		}
	}
	want := map[string]uint64{"OK": 6, "Unauthenticated": 3, "PermissionDenied": 1, "InvalidArgument": 7, "ResourceExhausted": 1}
	for _, m := range w.calls.Calls() {
		if m.Method == strings.TrimPrefix(emitPath, "/") && fmt.Sprint(m.Codes) != fmt.Sprint(want) {
			t.Errorf("counted %v, want %v", m.Codes, want)
		}
	}
}

// What fails inside says nothing to the caller, and one line to the log.
func TestPanic(t *testing.T) {
	w := serve(t, callers(t), Options{Open: true})
	w.hub.before = func() { panic("a secret") }
	resp := w.do(w.request(emitPath, `{"to":{"all":true},"event":"e"}`))
	if text := readAll(t, resp); resp.StatusCode != 500 || strings.Contains(text, "secret") {
		t.Errorf("got %d, %s", resp.StatusCode, text)
	}
	if n := strings.Count(w.log.String(), "a secret"); n != 1 {
		t.Errorf("%d lines of the log tell of it:\n%s", n, &w.log)
	}
}

// A call that is under way at the end is answered; once there is no time left it is cut
// off.
func TestShutdown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		want    error
	}{
		{"in time", time.Minute, nil},
		{"too late", 0, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := serve(t, callers(t), Options{Open: true})
			begun, release := make(chan struct{}), make(chan struct{})
			w.hub.before = func() { close(begun); <-release }
			answered := make(chan error, 1)
			r := w.request(emitPath, `{"to":{"all":true},"event":"e"}`)
			go func() {
				resp, err := http.DefaultClient.Do(r)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				answered <- err
			}()
			<-begun
			ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- w.Shutdown(ctx) }()
			if tt.want != nil {
				if err := <-answered; err == nil {
					t.Error("the call was answered")
				}
			}
			close(release)
			if err := <-ended; !errors.Is(err, tt.want) {
				t.Errorf("Shutdown: %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				if err := <-answered; err != nil {
					t.Errorf("the call: %v", err)
				}
			}
		})
	}
}

func parseError(t *testing.T, text string) *wireError {
	t.Helper()
	var e wireError
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return &e
}

// A caller's deadline is the call's.
func TestDeadline(t *testing.T) {
	w := serve(t, callers(t), Options{Open: true})
	for _, tt := range []struct {
		timeout string
		status  int
	}{{"1", 504}, {"60000", 200}, {"soon", 400}} {
		w.hub.late = tt.timeout == "1"
		resp := w.do(w.request(emitPath, goodEmit, "Connect-Timeout-Ms", tt.timeout))
		if text := readAll(t, resp); resp.StatusCode != tt.status {
			t.Errorf("%s ms: got %d, %s, want %d", tt.timeout, resp.StatusCode, text, tt.status)
		}
	}
}
