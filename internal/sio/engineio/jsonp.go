package engineio

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// JSONP is polling for browsers without CORS: the page loads each poll as a
// script and posts a form. Every polling request that has a parameter j is one
// (engine.io/lib/transports/polling-jsonp.ts).

// isJSONP reports whether the request is one of JSONP.
func isJSONP(r *http.Request) bool {
	_, has := parameter(r.URL.RawQuery, "j")
	return has
}

// wrapJSONP turns a payload into a script that hands it to callback number j of
// the page. Whatever is no digit in j is dropped: the rest runs as a program.
func wrapJSONP(j string, payload []byte) []byte {
	digits := strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, j)
	text, _ := json.Marshal(string(payload)) // a string cannot fail; U+2028 and U+2029 come escaped
	b := make([]byte, 0, len("___eio[]();")+len(digits)+len(text))
	b = append(b, "___eio["+digits+"]("...)
	b = append(b, text...)
	return append(b, ");"...)
}

// unwrapJSONP returns the payload in a posted form, field d. Browsers change
// line ends in forms, so the client sends a newline as \n, and \n as \\n. A form
// without d holds nothing, which is no mistake.
func unwrapJSONP(body []byte) (payload []byte, ok bool) {
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["d"]) != 1 {
		return nil, false
	}
	return []byte(unescapeNewlines.Replace(form["d"][0])), true
}

var unescapeNewlines = strings.NewReplacer(`\\n`, `\n`, `\n`, "\n")
