package parser

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// jsonSpace is the white space of RFC 8259, section 2.
const jsonSpace = " \t\r\n"

// maxDepth bounds how deeply arrays and objects nest. It keeps the scanner's
// stack small, and stays below what the JSON readers of the programs behind us
// bear (Python's json gives up at 1000).
const maxDepth = 512

// scanner checks JSON texts (RFC 8259) and the placeholders in them in one
// pass, without decoding or allocating. Its input is valid UTF-8: the caller
// has looked.
type scanner struct {
	b            []byte
	placeholders bool // check placeholders against attachments
	attachments  int  // how many the packet has

	layout *layout // noted if not nil

	i     int    // the next byte
	depth int    // open arrays and objects
	used  uint32 // bit n: attachment n has a placeholder
	why   string // the first problem but a plain syntax error
}

// document scans the whole input as one value with blanks around it, and
// returns the value's text. If it is false, problem says what is wrong.
func (s *scanner) document() (value []byte, ok bool) {
	s.space()
	start := s.i
	if !s.value() {
		return nil, false
	}
	end := s.i
	s.space()
	return s.b[start:end], s.i == len(s.b)
}

// problem describes what stopped the scanner.
func (s *scanner) problem() string {
	if s.why != "" {
		return s.why
	}
	if s.i >= len(s.b) {
		return "invalid JSON: it ends too soon"
	}
	return fmt.Sprintf("invalid JSON at byte %d", s.i)
}

func (s *scanner) fail(why string) bool {
	s.why = why
	return false
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0 // no JSON token starts with it
}

func (s *scanner) eat(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.i++
	return true
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) value() bool {
	switch c := s.peek(); c {
	case '"':
		return s.string()
	case '[', '{':
		if s.depth == maxDepth {
			return s.fail(fmt.Sprintf("JSON nests deeper than %d", maxDepth))
		}
		s.depth++
		s.i++
		ok := false
		if c == '[' {
			ok = s.array()
		} else {
			ok = s.object()
		}
		s.depth--
		return ok
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

// array scans what follows the opening bracket.
func (s *scanner) array() bool {
	slot := s.layout.open()
	if s.space(); s.eat(']') {
		return true
	}
	for elements := 1; ; elements++ {
		if s.space(); !s.value() {
			return false
		}
		if s.space(); s.eat(']') {
			s.layout.close(slot, elements)
			return true
		}
		if !s.eat(',') {
			return false
		}
	}
}

// object scans what follows the opening brace. An object whose "_placeholder"
// is true stands for an attachment (socket.io-parser/lib/binary.ts) and must
// consist of that and the number, or the client would lose the rest of it.
func (s *scanner) object() bool {
	var (
		members int
		stands  bool   // for an attachment; the last of equal keys wins, as in JavaScript
		num     []byte // the literal of its number
	)
	slot := s.layout.open()
	if s.space(); s.eat('}') {
		return true
	}
	for {
		s.space()
		start := s.i
		if s.peek() != '"' || !s.string() {
			return false
		}
		key := s.b[start:s.i]
		if s.space(); !s.eat(':') {
			return false
		}
		s.space()
		start = s.i
		if !s.value() {
			return false
		}
		if members++; s.placeholders {
			switch {
			case isString(key, "_placeholder"):
				stands = string(s.b[start:s.i]) == "true"
			case isString(key, "num"):
				num = s.b[start:s.i]
			}
		}
		if s.space(); s.eat('}') {
			break
		}
		if !s.eat(',') {
			return false
		}
	}
	if stands {
		return s.placeholder(slot, members, num)
	}
	s.layout.close(slot, members)
	return true
}

// placeholder checks one placeholder and notes its number as used.
func (s *scanner) placeholder(slot, members int, num []byte) bool {
	n, ok, rest, err := cutID(num)
	switch {
	case err != nil || !ok || len(rest) > 0:
		return s.fail(`a placeholder needs "num", the number of its attachment`)
	case members != 2:
		return s.fail(`a placeholder has "_placeholder" and "num" and nothing else`)
	case n >= uint64(s.attachments):
		return s.fail(fmt.Sprintf("a placeholder's num is %d, but there are %d attachments", n, s.attachments))
	}
	s.used |= 1 << n
	s.layout.stand(slot, int(n))
	return true
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		return false
	}
	s.i += len(w)
	return true
}

func (s *scanner) number() bool {
	s.eat('-')
	if !s.eat('0') && !s.digits() {
		return false
	}
	if s.eat('.') && !s.digits() {
		return false
	}
	if s.eat('e') || s.eat('E') {
		if !s.eat('+') {
			s.eat('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.i
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > start
}

// string scans a string, whose opening quote is the next byte.
func (s *scanner) string() bool {
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return true
		case c == '\\':
			if s.i++; !s.escape() {
				return false
			}
		case c < ' ':
			return false
		}
	}
	return false
}

// escape scans what follows a backslash, up to its last byte.
func (s *scanner) escape() bool {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		for range 4 {
			s.i++
			switch c := s.peek(); {
			case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			default:
				return false
			}
		}
		return true
	}
	return false
}

// cutName splits the text of an event's array into the literal of its first
// element, a string or a number, and what comes after it and its comma, up to
// and with the closing bracket. data need not be valid, but only then is the
// rest.
func cutName(data []byte) (literal, rest []byte, ok bool) {
	s := scanner{b: data}
	if s.space(); !s.eat('[') {
		return nil, nil, false
	}
	s.space()
	start := s.i
	switch c := s.peek(); {
	case c == '"', c == '-', '0' <= c && c <= '9':
	default:
		return nil, nil, false
	}
	if !s.value() {
		return nil, nil, false
	}
	literal = data[start:s.i]
	s.space()
	if s.eat(',') {
		s.space()
	} else if s.peek() != ']' {
		return nil, nil, false
	}
	return literal, data[s.i:], true
}

// isString reports whether the JSON string literal says s.
func isString(literal []byte, s string) bool {
	if plain(literal) {
		return string(literal[1:len(literal)-1]) == s
	}
	said, ok := unquote(literal)
	return ok && said == s
}

// unquote is what a JSON string literal says.
func unquote(literal []byte) (string, bool) {
	if plain(literal) {
		return string(literal[1 : len(literal)-1]), true
	}
	var s string
	err := json.Unmarshal(literal, &s)
	return s, err == nil
}

// plain reports whether a JSON string literal says what stands between its
// quotes: nothing is escaped.
func plain(literal []byte) bool { return bytes.IndexByte(literal, '\\') < 0 }
