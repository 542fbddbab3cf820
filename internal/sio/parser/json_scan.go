package parser

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// jsonSpace is the white space of RFC 8259, section 2.
const jsonSpace = " \t\r\n"

// scanner checks JSON texts (RFC 8259) in one pass, without decoding, and without
// recursion: nesting is bounded by the text's size alone. Its input is valid
// UTF-8: the caller has looked.
type scanner struct {
	b            []byte
	placeholders *placeholders // checked if not nil
	layout       *layout       // noted if not nil

	i    int // the next byte
	open nesting
}

// newScanner returns a scanner of the data of a packet. Placeholders count only
// where there are attachments: elsewhere {"_placeholder":true} is an object like
// any other (socket.io-parser/lib/index.ts, add).
func newScanner(b []byte, attachments int) scanner {
	s := scanner{b: b}
	if attachments > 0 {
		s.placeholders = &placeholders{attachments: attachments}
	}
	return s
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
	return s.b[start:end], s.i == len(s.b) && (s.placeholders == nil || s.placeholders.wrong == "")
}

// problem describes what stopped the scanner.
func (s *scanner) problem() string {
	if s.placeholders != nil && s.placeholders.wrong != "" && s.i == len(s.b) {
		return s.placeholders.wrong
	}
	if s.i >= len(s.b) {
		return "invalid JSON: it ends too soon"
	}
	return fmt.Sprintf("invalid JSON at byte %d", s.i)
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

// value scans one value, which the next byte begins.
func (s *scanner) value() bool {
	outside := s.open.depth
	for {
		switch c := s.peek(); c {
		case '[', '{':
			s.begin(c == '{')
			if s.space(); s.eat(c + 2) { // ] and } in ASCII
				s.end()
				break
			}
			if !s.member() {
				return false
			}
			continue
		default:
			if !s.scalar(c) {
				return false
			}
		}
		// Something has ended, and with it perhaps what it stands in.
		for {
			if s.open.depth == outside {
				return true
			}
			if s.space(); s.eat(',') {
				if !s.member() {
					return false
				}
				break
			}
			closing := byte(']')
			if s.open.inObject() {
				closing = '}'
			}
			if !s.eat(closing) {
				return false
			}
			s.end()
		}
	}
}

// begin scans an opening bracket or brace.
func (s *scanner) begin(object bool) {
	if object && s.placeholders != nil {
		s.placeholders.begin(s.i)
	}
	if s.layout != nil {
		s.layout.begin()
	}
	s.i++
	s.open.open(object)
}

// end notes the end of an array or an object.
func (s *scanner) end() {
	object := s.open.inObject()
	s.open.close()
	if object && s.placeholders != nil {
		if attachment, ok := s.placeholders.end(); ok && s.layout != nil {
			s.layout.stand(attachment)
			return
		}
	}
	if s.layout != nil {
		s.layout.end()
	}
}

// member scans up to the next value: in an object its key.
func (s *scanner) member() bool {
	if s.layout != nil {
		s.layout.count()
	}
	s.space()
	if !s.open.inObject() {
		return true
	}
	start := s.i
	if s.peek() != '"' || !s.string() {
		return false
	}
	if s.placeholders != nil {
		s.placeholders.key(s.b[start:s.i])
	}
	if s.space(); !s.eat(':') {
		return false
	}
	s.space()
	return true
}

// scalar scans a value that is neither an array nor an object, by its first byte.
func (s *scanner) scalar(c byte) (ok bool) {
	start := s.i
	switch c {
	case '"':
		ok = s.string()
	case 't':
		ok = s.word("true")
	case 'f':
		ok = s.word("false")
	case 'n':
		ok = s.word("null")
	default:
		ok = s.number()
	}
	if ok && s.placeholders != nil && s.open.depth > 0 && s.open.inObject() {
		s.placeholders.value(s.b[start:s.i])
	}
	return ok
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
