package engineio

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// What is wanted here was read from the reference (socket.io 4.8.4,
// handshake.query), but for raw bytes beyond ASCII, which Node.js refuses.
func TestQueryParameters(t *testing.T) {
	tests := []struct {
		raw  string
		want map[string]string // the last of each name
	}{
		{"", map[string]string{}},
		{"EIO=4&transport=polling", map[string]string{"EIO": "4", "transport": "polling"}},
		{"a=1&a=2&a=", map[string]string{"a": ""}},
		{"a=1&b=2&a=3", map[string]string{"a": "3", "b": "2"}},
		{"a", map[string]string{"a": ""}},
		{"a=b=c", map[string]string{"a": "b=c"}},
		{"&&=v&k&=", map[string]string{"": "", "k": ""}},
		{"a;b=c;d", map[string]string{"a;b": "c;d"}},
		{"a=b+c&d+e=f", map[string]string{"a": "b c", "d e": "f"}},
		{"a=b%2Bc%26d%3De", map[string]string{"a": "b+c&d=e"}},
		{"M%C3%BCller=%F0%9F%98%80", map[string]string{"Müller": "😀"}},
		{"a=%e4%b8%ad", map[string]string{"a": "中"}},
		{"a=50%", map[string]string{"a": "50%"}},
		{"a=%zz&b=1", map[string]string{"a": "%zz", "b": "1"}},
		{"%zz=1", map[string]string{"%zz": "1"}},
		{"a=%2&b=%", map[string]string{"a": "%2", "b": "%"}},
		{"a=%%41%4", map[string]string{"a": "%A%4"}},
		{"a=%u00e4", map[string]string{"a": "%u00e4"}},
		{"a=100%25", map[string]string{"a": "100%"}},
		{"a=%2525", map[string]string{"a": "%25"}},
		{"a=%E4", map[string]string{"a": "\ufffd"}},
		{"a=%E4%zz", map[string]string{"a": "\ufffd%zz"}},
		{"a=%E4%B8", map[string]string{"a": "\ufffd"}},
		{"a=%E4%B8x", map[string]string{"a": "\ufffdx"}},
		{"a=%FF%FE", map[string]string{"a": "\ufffd\ufffd"}},
		{"a=%C0%80%ED%A0%80", map[string]string{"a": "\ufffd\ufffd\ufffd\ufffd\ufffd"}},
		{"a=%F0%9F%98%80%F0%9F%98", map[string]string{"a": "😀\ufffd"}},
		{"a=%EF%BF%BD", map[string]string{"a": "\ufffd"}},
		{"a=%EF%BB%BFx", map[string]string{"a": "\ufeffx"}},
		{"a=%00%1F", map[string]string{"a": "\x00\x1f"}},
		{"a=?b&c=/d:e@f", map[string]string{"a": "?b", "c": "/d:e@f"}},
		{`a=|{}"<>^` + "`", map[string]string{"a": `|{}"<>^` + "`"}},
		{"n[]=1&n[]=2", map[string]string{"n[]": "2"}},
		{"__proto__=x&hasOwnProperty=y", map[string]string{"__proto__": "x", "hasOwnProperty": "y"}},
		{"a=1#f=2", map[string]string{"a": "1"}},
		{"a=M\xc3\xbcller", map[string]string{"a": "Müller"}},
		{"a=M\xfcller", map[string]string{"a": "M\ufffdller"}},
	}
	for _, tt := range tests {
		t.Run(tt.raw, func(t *testing.T) {
			got := map[string]string{}
			for name := range QueryParameters(tt.raw) {
				got[name], _ = parameter(tt.raw, name)
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzQueryParameters compares with net/url where that drops nothing.
func FuzzQueryParameters(f *testing.F) {
	for _, raw := range []string{"a=b&c=d", "a=%zz", "=&&", "a=%E4%B8", "a+b=c%20d", "x#y"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := url.Values{}
		for name, value := range QueryParameters(raw) {
			got.Add(name, value)
		}
		for name, values := range got {
			for _, v := range append(values, name) {
				if !utf8.ValidString(v) {
					t.Fatalf("%q: %q is no UTF-8", raw, v)
				}
			}
		}
		want, err := url.ParseQuery(raw)
		if err != nil || strings.Contains(raw, "#") {
			return
		}
		for name, values := range want {
			for _, v := range append(values, name) {
				if !utf8.ValidString(v) {
					return
				}
			}
		}
		if got.Encode() != want.Encode() {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	})
}

func TestWithoutParameters(t *testing.T) {
	for raw, want := range map[string]string{
		"":                       "",
		"a=1&b=2":                "a=1&b=2",
		"a=1&sid=x&b=%E4&&c":     "a=1&b=%E4&&c",
		"sid=x":                  "",
		"token=x&a=1&token=y":    "a=1",
		"a=1&t%6Fken=x&to+ken=1": "a=1&to+ken=1",
		"tokens=1&a=token":       "tokens=1&a=token",
		"a=1#token=x":            "a=1",
		"token&a":                "a",
	} {
		if got := WithoutParameters(raw, "sid", "token"); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}
