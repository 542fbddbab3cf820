package engineio

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestProxiesClient(t *testing.T) {
	p, err := ParseProxies([]string{"10.0.0.0/8", "192.0.2.7", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	const proxy = "10.1.2.3:80"
	tests := []struct {
		name, remote string
		forwarded    []string // X-Forwarded-For, a header each
		account      string   // empty: nobody
		text         string
	}{
		{"no proxy", "203.0.113.9:1234", nil, "203.0.113.9", "203.0.113.9:1234"},
		{"no proxy, but says it is one", "203.0.113.9:1234", []string{"198.51.100.1"}, "203.0.113.9", "203.0.113.9:1234"},
		{"a unix socket", "@", []string{"203.0.113.9"}, "", "@"},
		{"a proxy", proxy, []string{"203.0.113.9"}, "203.0.113.9", "203.0.113.9"},
		{"two proxies", proxy, []string{"203.0.113.9, 192.0.2.7"}, "203.0.113.9", "203.0.113.9"},
		{"two headers", proxy, []string{"203.0.113.9", "192.0.2.7"}, "203.0.113.9", "203.0.113.9"},
		{"two headers, the first not trusted", proxy, []string{"198.51.100.1, 203.0.113.9", "10.0.0.5"}, "203.0.113.9", "203.0.113.9"},
		{"what the browser wrote does not count", proxy, []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9", "203.0.113.9"},
		{"a trusted address that the browser wrote", proxy, []string{"10.9.9.9, 203.0.113.9"}, "203.0.113.9", "203.0.113.9"},
		{"nonsense that the browser wrote", proxy, []string{"unknown, \", [, 203.0.113.9"}, "203.0.113.9", "203.0.113.9"},
		{"a proxy that names nobody", proxy, nil, "10.1.2.3", "10.1.2.3"},

		{"all trusted: the first of them", proxy, []string{"10.1.2.9"}, "10.1.2.9", "10.1.2.9"},
		{"all trusted, several", proxy, []string{"10.1.2.9, 10.0.0.5"}, "10.1.2.9", "10.1.2.9"},
		{"all trusted, IPv6", proxy, []string{"fd00::9, 10.0.0.5"}, "fd00::9", "fd00::9"},

		{"an empty element at the end", proxy, []string{"203.0.113.7,"}, "203.0.113.7", "203.0.113.7"},
		{"empty elements between", proxy, []string{"203.0.113.7, , ,10.0.0.5"}, "203.0.113.7", "203.0.113.7"},
		{"an empty element in front", proxy, []string{", 203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"an empty header behind", proxy, []string{"203.0.113.7", ""}, "203.0.113.7", "203.0.113.7"},
		{"an empty header in front", proxy, []string{"", "203.0.113.7"}, "203.0.113.7", "203.0.113.7"},
		{"nothing but commas", proxy, []string{" ,, ,"}, "10.1.2.3", "10.1.2.3"},
		{"blanks and tabs", proxy, []string{" \t203.0.113.7\t ,\t10.0.0.5 "}, "203.0.113.7", "203.0.113.7"},
		{"blanks alone between", proxy, []string{"203.0.113.7 10.0.0.5"}, "203.0.113.7", "203.0.113.7"},

		{"with a port", proxy, []string{"203.0.113.9:4711"}, "203.0.113.9", "203.0.113.9"},
		{"trusted with a port", proxy, []string{"203.0.113.9:4711, 10.0.0.5:80"}, "203.0.113.9", "203.0.113.9"},
		{"with a hidden port", proxy, []string{"203.0.113.9:_p"}, "203.0.113.9", "203.0.113.9"},
		{"quoted", proxy, []string{`"203.0.113.9"`}, "203.0.113.9", "203.0.113.9"},
		{"quoted with a port", proxy, []string{`"203.0.113.9:4711", 10.0.0.5`}, "203.0.113.9", "203.0.113.9"},
		{"IPv6", "[fd00::1]:80", []string{"2001:db8::5"}, "2001:db8::5", "2001:db8::5"},
		{"IPv6 in brackets", "[fd00::1]:80", []string{"[2001:db8::5]"}, "2001:db8::5", "2001:db8::5"},
		{"IPv6 with a port", "[fd00::1]:80", []string{"[2001:db8::5]:4711"}, "2001:db8::5", "2001:db8::5"},
		{"IPv6 quoted with a port", "[fd00::1]:80", []string{`"[2001:db8::5]:4711"`}, "2001:db8::5", "2001:db8::5"},
		{"IPv6 at length", proxy, []string{"2001:0DB8:0:0:0:0:0:5"}, "2001:db8::5", "2001:db8::5"},
		{"IPv6 with a zone", proxy, []string{"fe80::5%eth0"}, "fe80::5", "fe80::5"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:80", []string{"::ffff:203.0.113.9"}, "203.0.113.9", "203.0.113.9"},
		{"IPv4 in IPv6, trusted", proxy, []string{"203.0.113.9, ::ffff:10.0.0.5"}, "203.0.113.9", "203.0.113.9"},

		{"unknown", proxy, []string{"unknown"}, "10.1.2.3", "10.1.2.3"},
		{"unknown to a proxy further out", proxy, []string{"unknown, 10.0.0.5"}, "10.0.0.5", "10.0.0.5"},
		{"what is unknown hides what stands before", proxy, []string{"198.51.100.1, unknown"}, "10.1.2.3", "10.1.2.3"},
		{"hidden", proxy, []string{"_gazonk, 10.0.0.5"}, "10.0.0.5", "10.0.0.5"},
		{"a name", proxy, []string{"client.example.com"}, "10.1.2.3", "10.1.2.3"},
		{"no IPv4 address", proxy, []string{"999.1.1.1"}, "10.1.2.3", "10.1.2.3"},

		// What would hold without the header holds with it.
		{"a proxy of the Internet", "192.0.2.7:80", nil, "192.0.2.7", "192.0.2.7"},
		{"which says unknown", "192.0.2.7:80", []string{"unknown"}, "192.0.2.7", "192.0.2.7"},
		{"which names a neighbour of its own", "192.0.2.7:80", []string{"10.9.9.9"}, "192.0.2.7", "10.9.9.9"},
		{"which names this host", "192.0.2.7:80", []string{"127.0.0.1"}, "192.0.2.7", "127.0.0.1"},
		{"which names somebody behind a neighbour", "192.0.2.7:80", []string{"203.0.113.9, 10.9.9.9"}, "203.0.113.9", "203.0.113.9"},
		{"a neighbour behind a proxy of the Internet", proxy, []string{"10.9.9.9, 192.0.2.7"}, "192.0.2.7", "10.9.9.9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.remote
			r.Header["X-Forwarded-For"] = tt.forwarded
			account, text := p.client(r)
			want := netip.Addr{}
			if tt.account != "" {
				want = netip.MustParseAddr(tt.account)
			}
			expect(t, "account", account, want)
			expect(t, "text", text, tt.text)
		})
	}
	for _, bad := range []string{"proxy.example.com", "10.0.0.0/99", "fe80::1%eth0", ""} {
		if _, err := ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q was taken for a proxy", bad)
		}
	}
}

func TestProxiesClientByForwarded(t *testing.T) {
	p, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		forwarded []string
		text      string
	}{
		{"plain", []string{"for=203.0.113.7"}, "203.0.113.7"},
		{"in any case, with blanks", []string{"  FOR = 203.0.113.7 ; Proto=https"}, "203.0.113.7"},
		{"for is not the first", []string{`proto=https;host="a;b, c";by=10.0.0.1;for=203.0.113.7`}, "203.0.113.7"},
		{"quoted, with a port", []string{`for="203.0.113.7:4711"`}, "203.0.113.7"},
		{"IPv6", []string{`For="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17"},
		{"IPv6 without a port", []string{`for="[2001:db8:cafe::17]"`}, "2001:db8:cafe::17"},
		{"escaped", []string{`for="203.0.113\.7"`}, "203.0.113.7"},
		{"through two", []string{"for=203.0.113.7, for=10.0.0.5"}, "203.0.113.7"},
		{"through two, two headers", []string{"for=203.0.113.7", "for=10.0.0.5"}, "203.0.113.7"},
		{"what the browser wrote", []string{"for=198.51.100.1, for=203.0.113.7, for=10.0.0.5"}, "203.0.113.7"},
		{"a quote that the browser opened", []string{`for="198.51.100.1, for=203.0.113.7`}, "203.0.113.7"},
		{"a quote that the browser opened, before IPv6", []string{`for="x, for="[2001:db8::7]:1"`}, "2001:db8::7"},
		{"a quote that the browser opened in a header of its own", []string{`host="`, `for=203.0.113.7;host="a,b"`}, "203.0.113.7"},
		{"empty elements", []string{", for=203.0.113.7, ,", ""}, "203.0.113.7"},
		{"all trusted", []string{"for=10.0.0.9, for=10.0.0.5"}, "10.0.0.9"},
		{"unknown", []string{"for=unknown"}, "10.1.2.3"},
		{"unknown further out", []string{"for=198.51.100.1, for=unknown, for=10.0.0.5"}, "10.0.0.5"},
		{"hidden", []string{`for="_gazonk", for=10.0.0.5`}, "10.0.0.5"},
		{"hidden, with a port", []string{`for="_gazonk:_p"`}, "10.1.2.3"},
		{"no for", []string{"proto=https"}, "10.1.2.3"},
		{"nonsense", []string{`=;;="`}, "10.1.2.3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = "10.1.2.3:80"
			r.Header["Forwarded"] = tt.forwarded
			_, text := p.client(r)
			expect(t, "text", text, tt.text)
			// A proxy that knows X-Forwarded-For passes on what anybody wrote in Forwarded.
			r.Header.Set("X-Forwarded-For", "203.0.113.99")
			_, text = p.client(r)
			expect(t, "text with X-Forwarded-For", text, "203.0.113.99")
		})
	}
}

// However the list is written, the limit of an address behind a proxy holds.
func TestAddressPendingBehindProxy(t *testing.T) {
	p, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	lists := []string{
		"203.0.113.7", "203.0.113.7,", ",203.0.113.7, ,", "203.0.113.7:1, 10.0.0.5", `"203.0.113.7"`, "10.9.9.9, 203.0.113.7", "unknown, 203.0.113.7", "::ffff:203.0.113.7",
	}
	inBubble(t, Options{Proxies: p, Limits: Limits{AddressPending: len(lists)}}, func(w *world) {
		open := func(list string) int {
			r := request("server", "", "X-Forwarded-For", list)
			r.RemoteAddr = "10.1.2.3:80"
			rec := httptest.NewRecorder()
			w.server.ServeHTTP(rec, r)
			return rec.Code
		}
		for _, list := range lists {
			expect(t, "status of "+list, open(list), 200)
		}
		for _, list := range lists {
			expect(t, "at the limit, status of "+list, open(list), 429)
		}
		expect(t, "another's status", open("203.0.113.8"), 200)
	})
}

// FuzzForwarded holds that what was written further out changes nothing of what
// the nearest proxy says.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", `for="`, `for=\"`, `"`, `for="a\`, ",", ";", `for="[::1]:1";host="a,b"`} {
		f.Add(s)
	}
	p, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, forged string) {
		for _, header := range []struct{ name, nearest string }{
			{"X-Forwarded-For", "203.0.113.7"}, {"Forwarded", "for=203.0.113.7"}, {"Forwarded", `host="a,\"b";for="203.0.113.7:1"`},
		} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = "10.1.2.3:80"
			r.Header[header.name] = []string{forged + ", " + header.nearest}
			if account, text := p.client(r); text != "203.0.113.7" || account != netip.MustParseAddr(text) {
				t.Errorf("%s: %q gave %v, %s", header.name, strings.Join(r.Header[header.name], ""), account, text)
			}
		}
	})
}
