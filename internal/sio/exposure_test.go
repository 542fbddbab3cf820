package sio

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

func TestExposedHeaders(t *testing.T) {
	long, most := strings.Repeat("x", maxDefaultHeader+1), strings.Repeat("x", maxHeader)
	tests := []struct {
		name   string
		show   Exposure
		header http.Header
		want   string
	}{
		{"by default", Exposure{}, http.Header{"User-Agent": {"a"}, "Cookie": {"sid=secret"}, "Authorization": {"secret"}, "X-Tenant": {"t"}}, "map[user-agent:a]"},
		{"none", Exposure{Headers: []string{}}, http.Header{"User-Agent": {"a"}}, "map[]"},
		{"by name", Exposure{Headers: []string{"x-tenant", "authorization"}}, http.Header{"X-Tenant": {"t"}, "Authorization": {"Bearer x"}, "User-Agent": {"a"}}, "map[authorization:Bearer x x-tenant:t]"},
		{"a long one that is shown by default", Exposure{}, http.Header{"Referer": {long}}, "map[referer:" + long[1:] + "]"},
		{"a long one that was asked for", Exposure{Headers: []string{"x-token"}}, http.Header{"X-Token": {most}}, "map[x-token:" + most + "]"},
		{"half of it is of no use", Exposure{Headers: []string{"x-token"}}, http.Header{"X-Token": {most + "x"}}, "map[]"},
		{"cookies by name", Exposure{Headers: []string{}, Cookies: []string{"connect.sid", "lang"}},
			http.Header{"Cookie": {"io=secret; connect.sid=s%3Aabc.d+e=; other=1;lang=\"de\""}}, `map[cookie:connect.sid=s%3Aabc.d+e=; lang="de"]`},
		{"cookies in several lines", Exposure{Headers: []string{}, Cookies: []string{"a", "b"}}, http.Header{"Cookie": {"a=1; x=2", "b=3"}}, "map[cookie:a=1; b=3]"},
		{"a cookie whose value holds another", Exposure{Headers: []string{}, Cookies: []string{"a"}}, http.Header{"Cookie": {"x=a=1; aa=2; a"}}, "map[]"},
		{"too many", Exposure{Headers: []string{}, Cookies: []string{"a"}}, http.Header{"Cookie": {"a=" + most}}, "map[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			show := tt.show.withDefaults()
			expect(t, "headers", fmt.Sprint(asMap(show.headers(tt.header))), tt.want)
		})
	}
}

func TestExposedAuth(t *testing.T) {
	all := Exposure{AllAuth: true}
	tests := []struct {
		name, auth string
		show       Exposure
		want       string
	}{
		{"by default", `{"name":"a"}`, Exposure{}, ""},
		{"all", `{"name":"a", "n":12345678901234567890,"x":{"y":[1.0]}}`, all, `{"n":12345678901234567890,"name":"a","x":{"y":[1.0]}}`},
		{"some", `{"name":"a","token":"secret"}`, Exposure{Auth: []string{"name", "age"}}, `{"name":"a"}`},
		{"none of those", `{"token":"secret"}`, Exposure{Auth: []string{"name"}}, ""},
		{"nothing passed", "", all, ""},
		{"what a client comes back by", `{"pid":"secret","name":"a"}`, all, `{"name":"a"}`},
		{"nor by name", `{"pid":"secret"}`, Exposure{Auth: []string{"pid"}}, ""},
		{"too much", `{"name":"` + strings.Repeat("a", maxAuth) + `"}`, all, ""},
		{"no object", `[1]`, all, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, "auth", tt.show.auth([]byte(tt.auth)), tt.want)
		})
	}
}

// TestExposureOfAConnection: what is shown is there while the connection is decided
// on, while it lasts, and at its end; each namespace has the auth of its own CONNECT.
func TestExposureOfAConnection(t *testing.T) {
	show := Exposure{Cookies: []string{"connect.sid"}, Auth: []string{"name"}}
	inBubble(t, Options{Namespaces: []string{"/", "/chat"}, Expose: show}, func(w *world) {
		var seen []string
		see := func(s *Socket) {
			c := s.Connection()
			seen = append(seen, fmt.Sprint(c.Namespace, c.Handshake.Headers["cookie"], c.Handshake.Auth))
		}
		w.backend.decide = func(_ context.Context, s *Socket) (Admission, error) { see(s); return Admission{}, nil }
		w.backend.ended = func(s *Socket, _ End) { see(s) }
		c, _, err := w.listener.DialWS(t, "EIO=4&transport=websocket", "Cookie", "connect.sid=s; io=x")
		if err != nil {
			t.Fatal(err)
		}
		c.Next()
		c.Say(`40{"name":"a","token":"t"}`)
		c.Next()
		c.Say(`40/chat,{"name":"b"}`)
		c.Next()
		c.Say("41/chat,")
		synctest.Wait()
		expect(t, "seen", strings.Join(seen, " "), `/connect.sid=s{"name":"a"} /chatconnect.sid=s{"name":"b"} /chatconnect.sid=s{"name":"b"}`)
		w.backend.ended = nil
		c.Close()
	})
}
