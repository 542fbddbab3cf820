package httpserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	saysProto  = regexp.MustCompile(`^proto:[\s\x{a0}]*`) // which blank it is differs from build to build
	saysWhere  = regexp.MustCompile(`^(syntax error )?\(line (\d+):(\d+)\): `)
	saysNoText = regexp.MustCompile(`^(syntax error \(line \d+:\d+\): invalid escape code|unexpected EOF$)`)
)

// saysUnknown is what protojson says of a field that the contract does not have.
const saysUnknown = "unknown field "

// maxSaid bounds, in bytes, a text about a request that has parts of it.
const maxSaid = 256

// unreadableJSON is INVALID_ARGUMENT for a request that protojson refused with err, and names the
// field at fault: protojson tells the line and the column alone. What is no JSON has no field.
func unreadableJSON(data []byte, err error) error {
	said := strings.ToValidUTF8(saysProto.ReplaceAllString(err.Error(), ""), "\uFFFD")
	at, why := -1, ""
	valid := json.Valid(data)
	if where := saysWhere.FindStringSubmatch(said); where != nil && (where[1] == "" || valid) {
		at, why = offsetOf(data, where[2], where[3]), said[len(where[0]):]
	}
	if strings.HasPrefix(why, saysUnknown) {
		why = "there is no such field"
	}
	if half := loneSurrogate(data); half >= 0 && valid && saysNoText.MatchString(said) { // all else is no JSON
		at = half
		why = fmt.Sprintf(`\u%s is half of a surrogate pair, without the other`, data[at+2:at+6])
		line := bytes.Count(data[:at], []byte("\n")) + 1
		said = fmt.Sprintf("(line %d:%d): %s", line, len([]rune(string(data[bytes.LastIndexByte(data[:at], '\n')+1:at])))+1, why)
	}
	st := status.New(codes.InvalidArgument, "the request: "+cut(said))
	if at < 0 {
		return st.Err()
	}
	field := fieldAt(data, at)
	if field == "" {
		return st.Err()
	}
	detailed, err := st.WithDetails(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: cut(field), Description: cut(why)},
	}})
	if err != nil {
		return err
	}
	return detailed.Err()
}

func cut(s string) string {
	if len(s) <= maxSaid {
		return s
	}
	return strings.ToValidUTF8(s[:maxSaid], "") + "…"
}

// offsetOf returns which byte of data is at a line and a column, both from 1 on; columns count
// characters.
func offsetOf(data []byte, line, column string) int {
	lines, _ := strconv.Atoi(line)
	columns, _ := strconv.Atoi(column)
	at := 0
	for ; lines > 1; lines-- {
		at += bytes.IndexByte(data[at:], '\n') + 1
	}
	for i := range string(data[at:]) {
		if columns--; columns == 0 {
			return at + i
		}
	}
	return len(data)
}

// loneSurrogate returns where an escape is that is half of a surrogate pair, in JSON. -1: there is none.
func loneSurrogate(data []byte) int {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if r := escaped(data[i:]); !utf16.IsSurrogate(r) {
			i++ // what is escaped
		} else if utf16.DecodeRune(r, escaped(data[i+6:])) == '\uFFFD' {
			return i
		} else {
			i += 11
		}
	}
	return -1
}

// escaped returns the UTF-16 code that b begins with as \uXXXX, or 0.
func escaped(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	r, _ := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(r)
}

// fieldAt returns the path of what stands at an offset of a JSON object, as "to.rooms[2]"; the
// name of a field is part of it. Empty: it is the object itself.
func fieldAt(data []byte, at int) string {
	type level struct {
		list  bool
		index int    // of the element to come, in a list
		name  string // of the field, in an object
		named bool   // the value of name is to come
	}
	var levels []level
	path := func() string {
		var b strings.Builder
		for _, l := range levels {
			switch {
			case l.list:
				fmt.Fprintf(&b, "[%d]", l.index)
			case l.name != "":
				if b.Len() > 0 {
					b.WriteByte('.')
				}
				b.WriteString(l.name)
			}
		}
		return b.String()
	}
	for tokens := json.NewDecoder(bytes.NewReader(data)); ; {
		token, err := tokens.Token()
		if err != nil {
			return path()
		}
		closes := token == json.Delim('}') || token == json.Delim(']')
		if closes {
			levels = levels[:len(levels)-1]
		}
		name := false
		if n := len(levels); n > 0 && !closes {
			top := &levels[n-1]
			if name = !top.list && !top.named; name {
				top.name = token.(string)
			}
			if !top.list {
				top.named = name
			}
		}
		if int(tokens.InputOffset()) > at {
			return path()
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			levels = append(levels, level{list: token == json.Delim('[')})
			continue
		}
		if n := len(levels); n > 0 && !name {
			if levels[n-1].list {
				levels[n-1].index++
			} else {
				levels[n-1].name = ""
			}
		}
	}
}
