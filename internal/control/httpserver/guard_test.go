package httpserver

import (
	"net/http"
	"slices"
	"testing"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

const goodEmit = `{"to":{"all":true},"event":"e"}`

// Pages that nobody has let in do nothing, whatever their browser sends for them.
func TestPages(t *testing.T) {
	key := identity.Key{Name: "x", Secret: "xx"}
	for _, tt := range []struct {
		name    string
		keys    []identity.Key
		o       Options
		headers []string
		want    string // the reason of the refusal; empty: it is served
	}{
		{"no page", nil, Options{Open: true}, nil, ""},
		{"no page, localhost", nil, Options{Open: true}, []string{"Host", "localhost:8081"}, ""},
		{"no page, IPv6", nil, Options{Open: true}, []string{"Host", "[::1]:8081"}, ""},
		{"no page, an address", nil, Options{Open: true}, []string{"Host", "10.0.0.7"}, ""},
		{"a name of the machine", nil, Options{Open: true}, []string{"Host", "fanoutd.internal:8081"}, "HOST_REFUSED"},
		{"a name that is known", nil, Options{Open: true, Hosts: []string{"fanoutd.internal"}}, []string{"Host", "FANOUTD.internal.:8081"}, ""},
		{"a name with a key", []identity.Key{key}, Options{}, []string{"Host", "fanoutd.internal:8081"}, ""},
		{"a name with a key, and names", []identity.Key{key}, Options{Hosts: []string{"other.internal"}}, []string{"Host", "fanoutd.internal:8081"}, "HOST_REFUSED"},
		{"a page", nil, Options{Open: true}, []string{"Origin", "https://evil.example"}, "ORIGIN_REFUSED"},
		{"a page that is known", nil, Options{Open: true, Origins: []string{"https://admin.example"}}, []string{"Origin", "https://admin.example"}, ""},
		{"another one", nil, Options{Open: true, Origins: []string{"https://admin.example"}}, []string{"Origin", "https://admin.example.evil"}, "ORIGIN_REFUSED"},
		{"a page without an origin of its own", nil, Options{Open: true}, []string{"Origin", "null"}, "ORIGIN_REFUSED"},
		{"a page with a key", []identity.Key{key}, Options{}, []string{"Origin", "https://evil.example"}, "ORIGIN_REFUSED"},
		{"a page whose name leads here", nil, Options{Open: true}, []string{"Origin", "http://evil.example:8081", "Host", "evil.example:8081"}, "HOST_REFUSED"},
		{"the same with a key", []identity.Key{key}, Options{}, []string{"Origin", "http://evil.example:8081", "Host", "evil.example:8081"}, "ORIGIN_REFUSED"},
		{"a page of this machine", nil, Options{Open: true}, []string{"Origin", "http://localhost:8081", "Host", "localhost:8081"}, "ORIGIN_REFUSED"},
		{"a browser that tells no origin", nil, Options{Open: true}, []string{"Sec-Fetch-Site", "cross-site"}, "ORIGIN_REFUSED"},
		{"another port of the machine", nil, Options{Open: true}, []string{"Sec-Fetch-Site", "same-site"}, "ORIGIN_REFUSED"},
		{"a form of a page", nil, Options{Open: true}, []string{"Origin", "https://evil.example", "Content-Type", "text/plain"}, "ORIGIN_REFUSED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Open = len(tt.keys) == 0
			w := serve(t, callers(t, tt.keys...), tt.o)
			headers := slices.Clone(tt.headers)
			if len(tt.keys) > 0 {
				headers = append(headers, "Authorization", "Bearer xx")
			}
			resp := w.do(w.request(emitPath, goodEmit, headers...))
			text := readAll(t, resp)
			done := w.hub.applied()
			if tt.want == "" && (resp.StatusCode != 200 || done != 1) {
				t.Errorf("got %d, %s, with %d operations", resp.StatusCode, text, done)
			}
			if tt.want != "" && (resp.StatusCode != 403 || parseError(t, text).says() != tt.want || done != 0) {
				t.Errorf("got %d, %s, with %d operations, want %s", resp.StatusCode, text, done, tt.want)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" && tt.want != "" {
				t.Errorf("the page may read the answer: %q", got)
			}
		})
	}
}

// Browsers ask for pages first; only those that are let in get leave.
func TestPreflight(t *testing.T) {
	w := serve(t, callers(t, identity.Key{Name: "x", Secret: "xx"}), Options{Origins: []string{"https://admin.example"}})
	ask := func(origin string) *http.Response {
		r := w.request(emitPath, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
		r.Method = http.MethodOptions
		return w.do(r)
	}
	h := ask("https://admin.example").Header
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://admin.example", "Access-Control-Allow-Methods": "GET, POST",
		"Access-Control-Allow-Headers": pageHeaders, "Access-Control-Allow-Credentials": "", "Vary": "Origin",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if resp := ask("https://evil.example"); resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another page: got %d, %v", resp.StatusCode, resp.Header)
	}
	resp := w.do(w.request(emitPath, goodEmit, "Origin", "https://admin.example", "Authorization", "Bearer xx"))
	if got := resp.Header.Get("Access-Control-Allow-Origin"); resp.StatusCode != 200 || got != "https://admin.example" {
		t.Errorf("the call: got %d, %q", resp.StatusCode, got)
	}
	// Without its key the page is nobody.
	if resp := w.do(w.request(emitPath, goodEmit, "Origin", "https://admin.example")); resp.StatusCode != 401 {
		t.Errorf("without a key: got %d", resp.StatusCode)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"https://Admin.example:443/": "https://admin.example", "http://localhost:3000": "http://localhost:3000", "capacitor://localhost": "capacitor://localhost",
		"*": "", "https://*.example.com": "", "null": "", "admin.example": "", "https://a/b": "", "https://u@a": "", "": "",
	} {
		got, err := ParseOrigins([]string{in})
		if (err != nil) != (want == "") || want != "" && got[0] != want {
			t.Errorf("origin %q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{"Fanoutd.Internal.": "fanoutd.internal", "fanoutd": "fanoutd", "*.internal": "", "a:1": "", "": ""} {
		got, err := ParseHosts([]string{in})
		if (err != nil) != (want == "") || want != "" && got[0] != want {
			t.Errorf("host %q: got %q, %v, want %q", in, got, err, want)
		}
	}
}
