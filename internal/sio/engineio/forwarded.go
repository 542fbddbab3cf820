package engineio

import (
	"iter"
	"net/http"
	"net/netip"
	"strings"
)

// hop is what one proxy says of the request that it got.
type hop struct {
	from  string // who sent it, as it was written
	host  string // its header Host; empty: not said
	proto string // http or https; empty: not said
}

// hopsBack returns what the proxies say, the nearest first. X-Forwarded-For goes
// before Forwarded: most proxies know the former alone and pass on the latter,
// which anybody may have written.
func hopsBack(h http.Header) iter.Seq[hop] {
	if lists := h["X-Forwarded-For"]; len(lists) > 0 {
		return xForwardedForBack(lists)
	}
	return forwardedBack(h)
}

// xForwardedForBack returns the addresses of a list that has commas or blanks
// between them. Elements that are empty do not count (RFC 9110, 5.6.1).
func xForwardedForBack(lists []string) iter.Seq[hop] {
	return func(yield func(hop) bool) {
		all := strings.FieldsFunc(strings.Join(lists, ","), func(c rune) bool { return c == ',' || c == ' ' || c == '\t' })
		for i := len(all) - 1; i >= 0; i-- {
			if !yield(hop{from: all[i]}) {
				return
			}
		}
	}
}

// forwardedBack returns the elements of Forwarded. They are cut off from the end,
// as the nearest proxy wrote there: a quote that is opened before, and not
// closed, hides nothing.
func forwardedBack(h http.Header) iter.Seq[hop] {
	return func(yield func(hop) bool) {
		rest := strings.Join(h["Forwarded"], ",")
		for rest != "" {
			var element string
			rest, element = cutLast(rest, ',')
			if strings.TrimSpace(element) != "" && !yield(parseForwarded(element)) {
				return
			}
		}
	}
}

// parseForwarded reads one element of Forwarded: pairs such as for="[::1]:80",
// with semicolons between them.
func parseForwarded(element string) (h hop) {
	for element != "" {
		var pair string
		element, pair = cutLast(element, ';')
		name, value, _ := strings.Cut(pair, "=")
		value = unquoteHeader(strings.TrimSpace(value))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "for":
			h.from = value
		case "host":
			h.host = value
		case "proto":
			h.proto = value
		}
	}
	return h
}

// cutLast cuts s around the last separator that does not stand between quotes.
func cutLast(s string, separator byte) (before, after string) {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch s[i] {
		case '"':
			escapes := i - len(strings.TrimRight(s[:i], `\`))
			if !quoted || escapes%2 == 0 {
				quoted = !quoted
			}
		case separator:
			if !quoted {
				return s[:i], s[i+1:]
			}
		}
	}
	return "", s
}

// unquoteHeader returns what a token or a quoted string says (RFC 9110, 5.6.4).
func unquoteHeader(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// parseHop reads an address as proxies write it: with or without quotes,
// brackets around IPv6, and a port. It is false for unknown and for identifiers
// that hide who it is (RFC 7239, 6.2 and 6.3).
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(unquoteHeader(s))
	switch {
	case strings.HasPrefix(s, "["):
		s, _, _ = strings.Cut(s[1:], "]")
	case strings.Count(s, ":") == 1:
		s, _, _ = strings.Cut(s, ":")
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap().WithZone(""), err == nil
}

// firstOf returns the first element that is not empty of a header's list.
func firstOf(h http.Header, name string) string {
	for element := range strings.SplitSeq(strings.Join(h[name], ","), ",") {
		if element = strings.TrimSpace(unquoteHeader(strings.TrimSpace(element))); element != "" {
			return element
		}
	}
	return ""
}
