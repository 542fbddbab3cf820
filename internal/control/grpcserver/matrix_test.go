package grpcserver

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/control/middleware"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// columns say whether keys with namespaces, and those with rooms, may call an RPC.
type columns struct{ namespaces, rooms bool }

// documented are the RPCs of each scope, and those that keys with namespaces or rooms may
// call, as the page about keys has them. A service stands for all its RPCs.
func documented(t *testing.T) (scopes map[string]identity.Scope, limited map[string]columns) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`[A-Z]\w+`)
	scopes, limited = map[string]identity.Scope{}, map[string]columns{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| .* \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1) {
		for _, name := range names.FindAllString(row[2], -1) {
			scopes[name] = identity.Scope(row[1])
		}
	}
	_, table, _ := strings.Cut(string(text), "| RPC | with `namespaces` | with `rooms` |")
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z].*) \| (.*) \| (.*) \|$`).FindAllStringSubmatch(table, -1) {
		for _, name := range names.FindAllString(row[1], -1) {
			limited[name] = columns{row[2] != "no", row[3] != "no"}
		}
	}
	return scopes, limited
}

// of returns what rows has for an RPC by itself, or else for its service.
func of[V any](rows map[string]V, service, rpc string) (v V, ok bool) {
	if v, ok = rows[rpc]; !ok {
		v, ok = rows[service]
	}
	return v, ok
}

// Every RPC that is served lets in those that the page about keys says, and refuses all
// others, for the reason that it says.
func TestWhoMayCallWhat(t *testing.T) {
	keys := []identity.Key{
		{Name: "full", Secret: "full"},
		{Name: "namespaces", Secret: "namespaces", Rights: identity.Rights{Namespaces: []string{"/n"}}},
		{Name: "rooms", Secret: "rooms", Rights: identity.Rights{Rooms: []string{"r"}}},
	}
	for _, scope := range identity.Scopes() {
		rights := identity.Rights{Scopes: []identity.Scope{scope}}
		keys = append(keys,
			identity.Key{Name: "key", Secret: "key-" + string(scope), Rights: rights},
			identity.Key{Name: "certificate", Certificate: string(scope) + ".internal", Rights: rights})
	}
	a, err := identity.NewAuthenticator(keys, false)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	services := control.New(&fakeHub{}, control.Options{Logger: quiet, Dispatcher: control.DispatcherOf(dispatch.New(dispatch.Options{Logger: quiet}))})
	m := middleware.Standard(services.Errors, a, api.Access)
	s := New(services, a, Options{})
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})

	scopes, limited := documented(t)
	open := map[string]bool{"/grpc.health.v1.Health/Check": true, "/grpc.health.v1.Health/Watch": true}
	anyKey := map[string]bool{
		"/grpc.health.v1.Health/List":                                    true,
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      true,
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": true,
	}
	seen := map[string]bool{}
	for service, info := range s.grpc.GetServiceInfo() {
		for _, rpc := range info.Methods {
			method := "/" + service + "/" + rpc.Name
			short := strings.TrimPrefix(service, "fanout.v1.")
			scope, hasScope := of(scopes, short, rpc.Name)
			limits, hasLimits := of(limited, short, rpc.Name)
			mayBeLimited := limits.namespaces || limits.rooms // by which, its service says
			if strings.HasPrefix(service, "fanout.") && (!hasScope || !hasLimits) {
				t.Errorf("docs/security.md does not name %s in both tables", method)
				continue
			}
			seen[rpc.Name], seen[short] = true, true
			// expect calls with this key, or certificate, and wants this reason of a
			// refusal; empty: it is let in.
			expect := func(key, certificate, reason string) {
				t.Helper()
				if open[method] {
					reason = ""
				}
				c := &middleware.Call{Method: method}
				if key != "" {
					c.Authorization = []string{"Bearer " + key}
				}
				if certificate != "" {
					c.Certificate = []string{certificate}
				}
				ran := false
				err := m(t.Context(), c, func(context.Context) error { ran = true; return nil })
				got := ""
				for _, d := range status.Convert(err).Details() {
					got = d.(*errdetails.ErrorInfo).GetReason()
				}
				code := map[string]codes.Code{"": codes.OK, "SCOPE_MISSING": codes.PermissionDenied, "KEY_LIMITED": codes.PermissionDenied}
				want, ok := code[reason]
				if !ok {
					want = codes.Unauthenticated
				}
				if got != reason || status.Code(err) != want || ran != (reason == "") {
					t.Errorf("%s with key %q, certificate %q: ran %v, got %v with the reason %q, want %v, %q", method, key, certificate, ran, err, got, want, reason)
				}
			}
			unless := func(allowed bool, reason string) string {
				if allowed || anyKey[method] {
					return ""
				}
				return reason
			}
			expect("", "", "KEY_MISSING")
			expect("wrong", "", "KEY_INVALID")
			expect("wrong", string(scope)+".internal", "KEY_INVALID") // the key is what counts
			expect("", "stranger.internal", "CERTIFICATE_UNKNOWN")
			expect("full", "", "")
			expect("namespaces", "", unless(mayBeLimited, "KEY_LIMITED"))
			expect("rooms", "", unless(mayBeLimited, "KEY_LIMITED"))
			for _, x := range identity.Scopes() {
				expect("key-"+string(x), "", unless(x == scope || scope == identity.Any, "SCOPE_MISSING"))
				expect("", string(x)+".internal", unless(x == scope || scope == identity.Any, "SCOPE_MISSING"))
			}
		}
	}
	for name := range scopes {
		if !seen[name] {
			t.Errorf("docs/security.md names %s, which is not served", name)
		}
	}
}
