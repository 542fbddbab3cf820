package wsconn

import (
	"bytes"
	"compress/flate"
	"strconv"
	"strings"
	"sync"
)

// Compressed marks, in the opcode for [AppendHeader], a payload from [Deflate].
const Compressed = compressed

// deflaters are idle writers; one costs most of a megabyte to make.
var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is valid
	return w
}}

// Deflate returns the compressed payload of a message (RFC 7692, 7.2.1), which is
// prefix and data together. It refers to no message before it, as is agreed with
// every client, so that all recipients share it.
func Deflate(prefix, data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data) / 4)
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	w.Write(prefix) //nolint:errcheck // a buffer takes everything
	w.Write(data)   //nolint:errcheck // a buffer takes everything
	w.Flush()
	// A flush ends with an empty block whose length fields the receiver adds.
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
}

// acceptsDeflate looks through the offers of a handshake, in their order, for one
// of permessage-deflate that can be taken (RFC 7692, 7.1). What is taken is
// answered with server_no_context_takeover and client_no_context_takeover. An
// offer with a parameter that is unknown, malformed or repeated is declined, and
// so is one that bounds our window: [Deflate] has one of 32 KiB, and the largest
// bound, which that keeps to, would have to be answered too (RFC 7692, 7.1.2.1). The
// next offer may do. What follows an offer that breaks the grammar is not looked at.
func acceptsDeflate(headers []string) bool {
	for _, h := range headers {
		for rest := h; rest != ""; {
			var offer extension
			var ok bool
			if offer, rest, ok = cutExtension(rest); !ok {
				break
			}
			if offer.name == "permessage-deflate" && offer.acceptable() {
				return true
			}
		}
	}
	return false
}

// extension is one offer: a name with parameters.
type extension struct {
	name   string
	params []param
}

type param struct {
	name, value string
	valued      bool
}

func (e extension) acceptable() bool {
	seen := map[string]bool{}
	for _, p := range e.params {
		if seen[p.name] {
			return false
		}
		seen[p.name] = true
		switch p.name {
		case "server_no_context_takeover", "client_no_context_takeover":
			if p.valued {
				return false
			}
		case "client_max_window_bits": // a window that the client may keep; the reader has the largest
			if p.valued && windowBits(p.value) == 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

const minWindowBits, maxWindowBits = 8, 15

// windowBits returns the value of a parameter, or 0 if it is none.
func windowBits(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < minWindowBits || n > maxWindowBits || strconv.Itoa(n) != s {
		return 0
	}
	return n
}

// cutExtension reads one element of the list in a Sec-WebSocket-Extensions header
// (RFC 6455, 9.1) and returns what follows its comma.
func cutExtension(s string) (e extension, rest string, ok bool) {
	if e.name, s = cutToken(s); e.name == "" {
		return e, "", false
	}
	for strings.HasPrefix(s, ";") {
		var p param
		if p.name, s = cutToken(s[1:]); p.name == "" {
			return e, "", false
		}
		if strings.HasPrefix(s, "=") {
			p.valued = true
			if p.value, s = cutValue(s[1:]); p.value == "" {
				return e, "", false
			}
		}
		e.params = append(e.params, p)
	}
	if s == "" {
		return e, "", true
	}
	return e, s[1:], s[0] == ','
}

const blanks = " \t"

// cutToken reads a token, with the blanks around it.
func cutToken(s string) (token, rest string) {
	s = strings.TrimLeft(s, blanks)
	n := 0
	for n < len(s) && isTokenByte(s[n]) {
		n++
	}
	return s[:n], strings.TrimLeft(s[n:], blanks)
}

// cutValue reads a token, or one in quotes, with the blanks around it.
func cutValue(s string) (value, rest string) {
	s = strings.TrimLeft(s, blanks)
	quoted, isQuoted := strings.CutPrefix(s, `"`)
	if !isQuoted {
		return cutToken(s)
	}
	var b strings.Builder
	for i := 0; i < len(quoted); i++ {
		switch c := quoted[i]; c {
		case '"':
			if !isToken(b.String()) { // what is quoted has to be one (RFC 6455, 9.1)
				return "", ""
			}
			return b.String(), strings.TrimLeft(quoted[i+1:], blanks)
		case '\\':
			if i++; i == len(quoted) {
				return "", ""
			}
			b.WriteByte(quoted[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", ""
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isTokenByte reports whether c may stand in a token (RFC 9110, 5.6.2).
func isTokenByte(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
