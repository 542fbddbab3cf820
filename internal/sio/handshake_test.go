package sio

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A connection's query is the reference's handshake.query but for the sid and
// the secrets; engineio's tests have the rest of how a query is read.
func TestHandshakeQuery(t *testing.T) {
	tests := []struct {
		name, query string
		want        string
		secret      string
	}{
		{"nothing of its own", "EIO=4&transport=polling", "map[EIO:4 transport:polling]", "[]"},
		{"the client's nonce", "EIO=4&transport=polling&t=abc.0", "map[EIO:4 t:abc.0 transport:polling]", "[]"},
		{"an application's t, j and b64", "EIO=4&transport=websocket&t=mine&j=x&b64=", "map[EIO:4 b64: j:x t:mine transport:websocket]", "[]"},
		{"an old client's", "EIO=3&transport=websocket&a=b", "map[EIO:3 a:b transport:websocket]", "[]"},
		{"the sid is a secret", "EIO=4&transport=polling&sid=", "map[EIO:4 transport:polling]", "[]"},
		{"the token is a secret", "EIO=4&transport=polling&token=a&x=1&token=b", "map[EIO:4 transport:polling x:1]", "[{token b}]"},
		{"the last wins", "EIO=4&transport=polling&transport=websocket&x=1&x=2", "map[EIO:4 transport:websocket x:2]", "[]"},
		{"a bad escape", "EIO=4&transport=polling&x=50%&y=%E4&z=a;b", "map[EIO:4 transport:polling x:50% y:\ufffd z:a;b]", "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHandshake(httptest.NewRequest("GET", "/socket.io/?"+tt.query, nil), []string{"token"}, &Exposure{})
			expect(t, "query", fmt.Sprint(h.query()), tt.want)
			expect(t, "secrets", fmt.Sprint(h.secrets()), tt.secret)
		})
	}
}

// What is kept of a query is no larger than the query, whatever it is made of: anybody
// may send one, before being let in.
func TestHandshakeIsSmall(t *testing.T) {
	for _, parameter := range []string{"a", "", "%61=", "token=x"} {
		query := "EIO=4&transport=polling" + strings.Repeat("&"+parameter, 5000)
		r := httptest.NewRequest("GET", "/socket.io/?"+query, nil)
		h := newHandshake(r, []string{"token"}, &Exposure{})
		if len(h.rawQuery) > len(query) || len(h.secrets()) > 1 {
			t.Errorf("%q: keeps %d bytes and %d secrets of %d bytes", parameter, len(h.rawQuery), len(h.secrets()), len(query))
		}
	}
}

// Headers may hold any bytes; who looks at a connection gets text.
func TestHandshakeHeaders(t *testing.T) {
	r := httptest.NewRequest("GET", "/socket.io/?EIO=4", nil)
	r.Header.Set("User-Agent", "x\xff\u00e9")
	r.Header.Set("Cookie", "secret")
	h := newHandshake(r, nil, &Exposure{Headers: DefaultHeaders()})
	expect(t, "headers", fmt.Sprint(asMap(h.headers)), "map[user-agent:x\ufffd\u00e9]")
}

// TestHandshakeURL: what is shown has no secrets, whatever their names look like.
func TestHandshakeURL(t *testing.T) {
	long := "/socket.io/?EIO=4&x=" + strings.Repeat("x", maxURL)
	for target, want := range map[string]string{
		"/socket.io/?EIO=4&transport=polling&t=abc":   "/socket.io/?EIO=4&transport=polling&t=abc",
		"//socket.io/?EIO=4&x=%e4&sid=&y=a;b":         "//socket.io/?EIO=4&x=%e4&y=a;b",
		"/a%20b/?token=secret&EIO=4&to%6ben=secret":   "/a%20b/?EIO=4",
		"http://app.example.com/socket.io/?EIO=4&x=1": "/socket.io/?EIO=4&x=1",
		"/socket.io/": "/socket.io/",
		long:          long[:maxURL],
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = target
		if u, err := url.ParseRequestURI(target); err == nil {
			r.URL = u
		}
		h := newHandshake(r, []string{"token"}, &Exposure{})
		expect(t, target, h.url(), want)
	}
}

func (h *handshake) secrets() []pair {
	if h.credentials == nil {
		return nil
	}
	return h.credentials.query
}
