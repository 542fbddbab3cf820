package engineio

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// request is a request to host with an Origin and further headers.
func request(host, from string, headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/socket.io/?"+fresh, nil)
	r.Host = host
	if from != "" {
		r.Header.Set("Origin", from)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func mustOrigins(t *testing.T, list ...string) Origins {
	t.Helper()
	o, err := ParseOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestSameOrigin(t *testing.T) {
	tests := []struct {
		origin, host string
		want         bool
	}{
		{"", "rt.example.com", true}, // no browser
		{"http://rt.example.com", "rt.example.com", true},
		{"https://rt.example.com", "rt.example.com", true}, // TLS ended in front
		{"https://rt.example.com", "rt.example.com:443", true},
		{"https://rt.example.com:443", "rt.example.com", true},
		{"https://rt.example.com", "rt.example.com:80", true},
		{"https://rt.example.com:443", "rt.example.com:80", true},
		{"http://rt.example.com", "rt.example.com:80", true},
		{"http://rt.example.com:80", "rt.example.com", true},
		{"http://rt.example.com", "rt.example.com:443", false},
		{"wss://rt.example.com", "rt.example.com:443", true},
		{"wss://rt.example.com:443", "rt.example.com", true},
		{"wss://rt.example.com:443", "rt.example.com:80", true},
		{"ws://rt.example.com", "rt.example.com:80", true},
		{"ws://rt.example.com:80", "rt.example.com", true},
		{"ws://rt.example.com:8080", "rt.example.com:8080", true},
		{"wss://rt.example.com:8443", "rt.example.com:8443", true},
		{"https://rt.example.com:8443", "rt.example.com", false},
		{"https://rt.example.com:8443", "rt.example.com:80", false},
		{"https://rt.example.com", "rt.example.com:8080", false},
		{"https://rt.example.com", "rt.example.com:8443", false},
		{"http://rt.example.com:443", "rt.example.com", false},
		{"https://rt.example.com:80", "rt.example.com", false},
		{"https://rt.example.com:80", "rt.example.com:80", true},
		{"https://RT.Example.COM", "rt.example.com", true},
		{"HTTPS://rt.example.com", "RT.EXAMPLE.COM:443", true},
		{"WSS://rt.example.com", "rt.example.com", true},
		{"https://rt.example.com.", "rt.example.com", true},
		{"https://rt.example.com", "rt.example.com.:443", true},
		{"https://rt.example.com:", "rt.example.com", true},
		{"https://rt.example.com:0443", "rt.example.com", true},
		{"https://rt.example.com/", "rt.example.com", true},
		{"https://rt.example.com/app/", "rt.example.com", true},
		{"https://xn--mller-kva.example", "xn--mller-kva.example", true},
		{"https://müller.example", "xn--mller-kva.example", true},
		{"https://MÜLLER.example", "XN--MLLER-KVA.example", true},
		{"http://127.0.0.1:8080", "127.0.0.1:8080", true},
		{"http://[::1]:8080", "[::1]:8080", true},
		{"http://[::1]", "[::1]", true},
		{"http://[::1]", "[::1]:80", true},
		{"https://[2001:db8::1]", "[2001:db8::1]:443", true},
		{"https://[2001:db8::1]", "[2001:0DB8:0:0::1]:80", true},
		{"https://[2001:db8::1]", "[2001:db8::2]", false},
		{"http://my_app.local:3000", "my_app.local:3000", true},
		{"http://localhost:3000", "localhost:3000", true},
		{"http://localhost:3000", "localhost:3001", false},
		{"http://localhost", "127.0.0.1", false},
		{"https://evil.example", "rt.example.com", false},
		{"wss://evil.example", "rt.example.com:443", false},
		{"https://rt.example.com.evil.example", "rt.example.com", false},
		{"https://rt.example.com@evil.example", "rt.example.com", false},
		{"https://evil.example/rt.example.com", "rt.example.com", false},
		{"https://user@rt.example.com", "rt.example.com", false},
		{"https://rt.example.com:443443", "rt.example.com:443443", false},
		{"capacitor://localhost", "localhost", false}, // an app's page is not the site's
		{"file://", "", false},
		{"null", "null", false},
		{"https://", "", false},
		{"rt.example.com", "rt.example.com", false},
		{"//rt.example.com", "rt.example.com", false},
		{"%", "%", false},
	}
	for _, tt := range tests {
		t.Run(tt.origin+" at "+tt.host, func(t *testing.T) {
			var o Origins
			r := request(tt.host, tt.origin)
			got, named := o.allows(r, (&Proxies{}).site(r))
			expect(t, "allowed", got, tt.want)
			expect(t, "named", named, false)
		})
	}
}

func TestOriginsByName(t *testing.T) {
	const extension = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"
	tests := []struct {
		list   string // with commas between
		origin string
		want   bool
	}{
		{"https://app.example.com", "https://app.example.com", true},
		{"https://app.example.com", "https://app.example.com:443", true},
		{"https://app.example.com:443", "https://app.example.com", true},
		{"https://app.example.com", "wss://app.example.com:443", true},
		{"wss://app.example.com", "https://app.example.com", true},
		{"https://App.Example.com", "https://app.example.com", true},
		{"HTTPS://app.example.com", "https://app.example.com", true},
		{"https://app.example.com.", "https://app.example.com", true},
		{"https://app.example.com", "http://app.example.com", false},
		{"https://app.example.com", "https://app.example.com:8443", false},
		{"https://app.example.com:8443", "https://app.example.com:8443", true},
		{"https://app.example.com", "https://example.com", false},
		{"https://app.example.com", "https://app.example.com.evil.example", false},
		{"https://müller.example", "https://xn--mller-kva.example", true},
		{"https://xn--mller-kva.example", "https://müller.example", true},
		{"http://[2001:DB8::1]:3000", "http://[2001:db8::1]:3000", true},
		{"https://*.example.com", "https://a.example.com", true},
		{"https://*.example.com", "https://A.example.com:443", true},
		{"https://*.example.com", "wss://a.example.com", true},
		{"https://*.example.com", "https://a.b.example.com", false},
		{"https://*.example.com", "https://example.com", false},
		{"https://*.example.com", "http://a.example.com", false},
		{"https://*.example.com", "https://a.example.com:8443", false},
		{"https://*.example.com:8443", "https://a.example.com:8443", true},
		{"https://*.example.com", "https://aexample.com", false},
		{"https://*.müller.example", "https://a.xn--mller-kva.example", true},
		{"HTTPS://*.example.com", "https://a.example.com", true},

		{"capacitor://localhost", "capacitor://localhost", true},
		{"Capacitor://LocalHost", "capacitor://localhost", true},
		{"capacitor://localhost", "ionic://localhost", false},
		{"capacitor://localhost", "capacitor://localhost:80", false},
		{"capacitor://localhost", "capacitor://app.localhost", false},
		{"capacitor://localhost", "http://localhost", false},
		{"capacitor://localhost", "null", false},
		{"ionic://localhost", "ionic://localhost", true},
		{"tauri://localhost", "tauri://localhost", true},
		{"tauri://localhost:1420", "tauri://localhost:1420", true},
		{"tauri://localhost", "https://tauri.localhost", false},
		{"https://tauri.localhost", "https://tauri.localhost", true},
		{extension, extension, true},
		{extension, "chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba", false},
		{extension, strings.Replace(extension, "chrome", "moz", 1), false},
		{"moz-extension://0a1b2c3d-0000-4000-8000-0123456789ab", "moz-extension://0a1b2c3d-0000-4000-8000-0123456789ab", true},
		{"safari-web-extension://0A1B2C3D", "safari-web-extension://0a1b2c3d", true},
		{"app://.", "app://.", true},
		{"app://-", "app://-", true},
		{"file://", "file://", true},
		{"file://", "file:///", true},
		{"file://", "null", false},
		{"file://", "file://host", false},
		{"null", "null", true},
		{"null", "file://", false},
		{"null", "https://null", false},
		{"null", "https://evil.example", false},
		{"file://,null,capacitor://localhost", "null", true},
		{"file://,null,capacitor://localhost", "capacitor://localhost", true},
		{"*", "capacitor://localhost", true},
		{"*", "null", true},
		{"*", "nonsense", true},
	}
	for _, tt := range tests {
		t.Run(tt.list+" for "+tt.origin, func(t *testing.T) {
			o := mustOrigins(t, strings.Split(tt.list, ",")...)
			r := request("rt.example.net", tt.origin)
			ok, named := o.allows(r, (&Proxies{}).site(r))
			expect(t, "allowed", ok, tt.want)
			expect(t, "named", named, tt.want && tt.list != "*" && tt.origin != "null")

			// What is allowed hears so in the words that it used.
			h := http.Header{}
			if o.setCORS(h, r, named); !ok {
				return
			}
			want, credentials := tt.origin, ""
			if tt.list == "*" {
				want = "*"
			} else if tt.origin != "null" {
				credentials = "true"
			}
			expect(t, "Access-Control-Allow-Origin", h.Get("Access-Control-Allow-Origin"), want)
			expect(t, "Access-Control-Allow-Credentials", h.Get("Access-Control-Allow-Credentials"), credentials)
		})
	}
	for _, bad := range []string{
		"", "app.example.com", "https://", "https://app.example.com/", "https://app.example.com/page", "https://a?b", "https://a#b", "https://u@a",
		"https://*", "https://a.*.com", "https://*.*.com", "https://a*", "*.example.com", "**", "capacitor://*", "chrome-extension://*", "capacitor://*.localhost",
		"file:///", "file:", "mailto:a@b", "NULL", "//a", "https://a:b", "https:a", "%", "ws://",
	} {
		if _, err := ParseOrigins([]string{bad}); err == nil {
			t.Errorf("%q was taken for an origin", bad)
		}
	}
}

// A trusted proxy tells which host and scheme the page's requests are sent to.
func TestSameOriginBehindProxy(t *testing.T) {
	const page = "https://shop.example.com"
	tests := []struct {
		name         string
		remote, host string
		origin       string
		headers      []string
		want         bool
	}{
		{"Host as it was", "10.0.0.1:1", "shop.example.com", page, nil, true},
		{"Host changed", "10.0.0.1:1", "backend:8080", page, nil, false},
		{"told", "10.0.0.1:1", "backend:8080", page, []string{"X-Forwarded-Host", "shop.example.com"}, true},
		{"told by anybody", "203.0.113.9:1", "backend:8080", page, []string{"X-Forwarded-Host", "shop.example.com"}, false},
		{"told on a unix socket", "@", "backend:8080", page, []string{"X-Forwarded-Host", "shop.example.com"}, false},
		{"another's", "10.0.0.1:1", "backend:8080", page, []string{"X-Forwarded-Host", "other.example.com"}, false},
		{"another's, though Host is the page's", "10.0.0.1:1", "shop.example.com", page, []string{"X-Forwarded-Host", "other.example.com"}, false},
		{"with a port", "10.0.0.1:1", "backend", page, []string{"X-Forwarded-Host", "shop.example.com:443"}, true},
		{"with port 80", "10.0.0.1:1", "backend", page, []string{"X-Forwarded-Host", "shop.example.com:80"}, true},
		{"with another port", "10.0.0.1:1", "backend", page, []string{"X-Forwarded-Host", "shop.example.com:8443"}, false},
		{"a port of its own", "10.0.0.1:1", "backend", page + ":8443", []string{"X-Forwarded-Host", "shop.example.com:8443"}, true},
		{"upper case", "10.0.0.1:1", "backend", page, []string{"X-Forwarded-Host", "Shop.Example.COM"}, true},
		{"two proxies, one header", "10.0.0.1:1", "backend", page, []string{"X-Forwarded-Host", "shop.example.com, edge.internal"}, true},
		{"two proxies, two headers", "10.0.0.1:1", "backend", page, []string{"X-Forwarded-Host", "shop.example.com", "X-Forwarded-Host", "edge.internal"}, true},
		{"empty elements", "10.0.0.1:1", "backend", page, []string{"X-Forwarded-Host", " , shop.example.com"}, true},
		{"an empty header", "10.0.0.1:1", "shop.example.com", page, []string{"X-Forwarded-Host", ""}, true},
		{"IPv6", "10.0.0.1:1", "backend", "https://[2001:db8::1]", []string{"X-Forwarded-Host", "[2001:db8::1]"}, true},
		{"a Swift client", "10.0.0.1:1", "backend", "wss://shop.example.com:443", []string{"X-Forwarded-Host", "shop.example.com"}, true},

		{"https, told", "10.0.0.1:1", "shop.example.com", page, []string{"X-Forwarded-Proto", "https"}, true},
		{"https, but a plain page", "10.0.0.1:1", "shop.example.com", "http://shop.example.com", []string{"X-Forwarded-Proto", "https"}, false},
		{"wss, but a plain page", "10.0.0.1:1", "shop.example.com", "http://shop.example.com", []string{"X-Forwarded-Proto", "wss"}, false},
		{"HTTPS, with http behind", "10.0.0.1:1", "shop.example.com", "http://shop.example.com", []string{"X-Forwarded-Proto", "HTTPS, http"}, false},
		{"https by anybody", "203.0.113.9:1", "shop.example.com", "http://shop.example.com", []string{"X-Forwarded-Proto", "https"}, true},
		{"http, told: TLS may end further out", "10.0.0.1:1", "shop.example.com", page, []string{"X-Forwarded-Proto", "http"}, true},
		{"ws, told", "10.0.0.1:1", "shop.example.com", "ws://shop.example.com", []string{"X-Forwarded-Proto", "ws"}, true},

		{"Forwarded", "10.0.0.1:1", "backend", page, []string{"Forwarded", `for=203.0.113.7;host=shop.example.com;proto=https`}, true},
		{"Forwarded, quoted", "10.0.0.1:1", "backend", page + ":8443", []string{"Forwarded", `For="203.0.113.7:4711"; Host="shop.example.com:8443"; Proto="https"`}, true},
		{"Forwarded by anybody", "203.0.113.9:1", "backend", page, []string{"Forwarded", `host=shop.example.com`}, false},
		{"Forwarded, a plain page", "10.0.0.1:1", "backend", "http://shop.example.com", []string{"Forwarded", `host=shop.example.com;proto=https`}, false},
		{"Forwarded through two", "10.0.0.1:1", "backend", page, []string{"Forwarded", `for=203.0.113.7;host=shop.example.com, for=10.0.0.2;host=edge.internal`}, true},
		{"Forwarded, what the browser's side wrote", "10.0.0.1:1", "backend", page, []string{"Forwarded", `host=shop.example.com, for=203.0.113.7;host=other.example.com`}, false},
		{"Forwarded without host", "10.0.0.1:1", "shop.example.com", page, []string{"Forwarded", `for=203.0.113.7`}, true},
		{"both", "10.0.0.1:1", "backend", page, []string{"X-Forwarded-Host", "shop.example.com", "Forwarded", "for=203.0.113.7;proto=https"}, true},
	}
	p, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(tt.host, tt.origin, tt.headers...)
			r.RemoteAddr = tt.remote
			var o Origins
			got, _ := o.allows(r, p.site(r))
			expect(t, "allowed", got, tt.want)
		})
	}
}

// A request that came by TLS was sent to https, unless a trusted proxy tells otherwise.
func TestSameOriginByTLS(t *testing.T) {
	p, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		remote  string
		major   int
		origin  string
		headers []string
		want    bool
	}{
		{"https, HTTP/1.1", "203.0.113.9:1", 1, "https://shop.example.com", nil, true},
		{"https, HTTP/2", "203.0.113.9:1", 2, "https://shop.example.com", nil, true},
		{"a plain page, HTTP/1.1", "203.0.113.9:1", 1, "http://shop.example.com", nil, false},
		{"a plain page, HTTP/2", "203.0.113.9:1", 2, "http://shop.example.com", nil, false},
		{"a plain page, WebTransport", "203.0.113.9:1", 3, "http://shop.example.com", nil, true},
		{"a plain page, through a silent proxy", "10.0.0.1:1", 1, "http://shop.example.com", nil, false},
		{"a plain page, told", "10.0.0.1:1", 1, "http://shop.example.com", []string{"X-Forwarded-Proto", "http"}, true},
		{"a plain page, told by anybody", "203.0.113.9:1", 1, "http://shop.example.com", []string{"X-Forwarded-Proto", "http"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("shop.example.com", tt.origin, tt.headers...)
			r.RemoteAddr, r.ProtoMajor, r.TLS = tt.remote, tt.major, &tls.ConnectionState{}
			var o Origins
			got, _ := o.allows(r, p.site(r))
			expect(t, "allowed", got, tt.want)
		})
	}
}

func TestRefusedOriginSaysWhatToSet(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		const setting = `{"code":4,"message":"origin https://shop.example.com is not allowed: add it to the server's setting origins (--origins, FANOUTD_ORIGINS)`
		r := w.do("GET", fresh, "", "Origin", "https://shop.example.com")
		expect(t, "status", r.status, 403)
		expect(t, "body", r.body, setting+`"}`)
		r = w.do("GET", fresh, "", "Origin", "https://shop.example.com", "X-Forwarded-Host", "shop.example.com")
		expect(t, "behind a proxy", r.body, setting+`, or, if it is this site's own, the proxy in front to trusted-proxies"}`)
	})
}

// Where some pages are answered otherwise than others, every answer says so.
func TestCORSVaries(t *testing.T) {
	const app = "https://app.example.com"
	for _, tt := range []struct {
		name, origin string
		list         []string
		vary         string
	}{
		{"nothing is listed", "http://server", nil, ""},
		{"nothing is listed, no Origin", "", nil, ""},
		{"all of the web", app, []string{"*"}, ""},
		{"listed", app, []string{app}, "Origin"},
		{"below a wildcard", app, []string{"https://*.example.com"}, "Origin"},
		{"null", "null", []string{"null"}, "Origin"},
		{"no Origin", "", []string{app}, "Origin"},
		{"the same origin", "http://server", []string{app}, "Origin"},
		{"the same origin, beside null", "http://server", []string{"null"}, "Origin"},
		{"all of the web, and one by name", "https://other.example.com", []string{"*", app}, "Origin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{Origins: mustOrigins(t, tt.list...)}, func(w *world) {
				r := w.do("GET", fresh, "", "Origin", tt.origin)
				expect(t, "status", r.status, 200)
				expect(t, "Vary", strings.Join(r.header.Values("Vary"), ","), tt.vary)
			})
		})
	}
}

func TestCORSForOtherHandlers(t *testing.T) {
	tests := []struct {
		name    string
		list    []string
		method  string
		origin  string
		status  int
		headers map[string]string // empty: absent
	}{
		{"no Origin", []string{"https://app.example.com"}, "GET", "", 200, map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}},
		{"listed", []string{"https://app.example.com"}, "GET", "https://app.example.com", 200, map[string]string{
			"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Credentials": "true", "Vary": "Origin",
		}},
		{"an app", []string{"capacitor://localhost"}, "HEAD", "capacitor://localhost", 200, map[string]string{"Access-Control-Allow-Origin": "capacitor://localhost"}},
		{"all", []string{"*"}, "GET", "https://app.example.com", 200, map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "", "Vary": "Origin",
		}},
		{"its own", nil, "GET", "http://server", 200, map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}},
		{"foreign: any page may load a script", nil, "GET", "https://evil.example", 200, map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}},
		{"a preflight", []string{"https://app.example.com"}, "OPTIONS", "https://app.example.com", 204, map[string]string{
			"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "x-token",
		}},
		{"a foreign preflight", []string{"https://app.example.com"}, "OPTIONS", "https://evil.example", 200, map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewServer(Options{Origins: mustOrigins(t, tt.list...)}, &world{})
			if err != nil {
				t.Fatal(err)
			}
			r := request("server", tt.origin, "Access-Control-Request-Headers", "x-token")
			r.Method = tt.method
			rec := httptest.NewRecorder()
			s.CORS(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(rec, r)
			expect(t, "status", rec.Code, tt.status)
			for name, want := range tt.headers {
				expect(t, name, rec.Header().Get(name), want)
			}
		})
	}
}
