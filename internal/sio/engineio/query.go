package engineio

import (
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// QueryParameters yields the parameters of a request's raw query, in order, as the
// reference reads it, by the URL standard (engine.io/lib/server.ts, prepare;
// url.spec.whatwg.org, "application/x-www-form-urlencoded parsing"): only &
// separates, + is a space, an escape that is none stays as it is, and bytes that are
// no UTF-8 become U+FFFD. Nothing is dropped, where [url.ParseQuery] drops a
// parameter with a bad escape or a semicolon.
func QueryParameters(raw string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for rest := beforeFragment(raw); rest != ""; {
			var name, value string
			if name, value, rest = cutParameter(rest); !yield(unescapeQuery(name), unescapeQuery(value)) {
				return
			}
		}
	}
}

// beforeFragment returns a raw query up to what looks like a fragment: a request's
// target has none, and what looks like one is not the query's.
func beforeFragment(raw string) string {
	raw, _, _ = strings.Cut(raw, "#")
	return strings.TrimLeft(raw, "&")
}

// cutParameter returns the first parameter of a raw query that does not begin with &,
// as it is written, and the rest, which does not either.
func cutParameter(raw string) (name, value, rest string) {
	parameter, rest, _ := strings.Cut(raw, "&")
	name, value, _ = strings.Cut(parameter, "=")
	return name, value, strings.TrimLeft(rest, "&")
}

// parameter returns the last value that a raw query has for a name: so the reference
// reads it, flat. It allocates nothing, but for a value that is escaped.
func parameter(raw, name string) (value string, has bool) {
	for rest := beforeFragment(raw); rest != ""; {
		var n, v string
		if n, v, rest = cutParameter(rest); unescapeQuery(n) == name {
			value, has = v, true
		}
	}
	return unescapeQuery(value), has
}

// WithoutParameters returns a raw query without those parameters whose names, as
// [QueryParameters] reads them, are among these; the rest stays as it is written.
func WithoutParameters(raw string, names ...string) string {
	raw, _, _ = strings.Cut(raw, "#")
	isNamed := func(parameter string) bool {
		name, _, _ := strings.Cut(parameter, "=")
		return slices.Contains(names, unescapeQuery(name))
	}
	found := false
	for parameter := range strings.SplitSeq(raw, "&") {
		found = found || isNamed(parameter)
	}
	if !found {
		return raw
	}
	return strings.Join(slices.DeleteFunc(strings.Split(raw, "&"), isNamed), "&")
}

func unescapeQuery(s string) string {
	if strings.ContainsAny(s, "%+") {
		b := make([]byte, 0, len(s))
		for i := 0; i < len(s); i++ {
			switch c := s[i]; {
			case c == '+':
				b = append(b, ' ')
			case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
				b = append(b, fromHex(s[i+1])<<4|fromHex(s[i+2]))
				i += 2
			default:
				b = append(b, c)
			}
		}
		s = string(b)
	}
	return replaceInvalid(s)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func fromHex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// replaceInvalid puts one U+FFFD in the place of each maximal piece that begins
// a character and does not end it, and of each byte that can begin none, as the
// Encoding standard has it; [strings.ToValidUTF8] puts one for a whole run.
func replaceInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			for i+n < len(s) && !utf8.FullRuneInString(s[i:i+n+1]) {
				n++
			}
		}
		b = utf8.AppendRune(b, r)
		i += n
	}
	return string(b)
}
