package parser

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

var (
	errFields   = errors.New("parser: a packet is a map with type and nsp, each once")
	errKey      = errors.New("parser: a key is not a string")
	errTrailing = errors.New("parser: bytes behind the packet")
	errShort    = errors.New("parser: ends too soon")
)

// unpack reads the one binary message of a packet from a client that speaks
// MessagePack. What JSON cannot say becomes what the same client would have sent
// in JSON: a Date its ISO text, undefined nothing (null in an array), NaN and
// infinities null; binary values become attachments. It keeps slices of b.
func unpack(b []byte, limits Limits) (*Packet, error) {
	if len(b) > limits.MaxBytes {
		return nil, errTooLarge
	}
	u := unpacker{rest: b, limits: limits}
	p, err := u.packet()
	if err != nil {
		return nil, err
	}
	if len(u.rest) > 0 {
		return nil, errTrailing
	}
	if len(p.Attachments) > 0 && p.Type != Event && p.Type != Ack {
		return nil, errShape
	}
	// The text is ours and valid, but a map in it may look like a placeholder.
	if p.Data, err = checkData(p.Data, len(p.Attachments)); err != nil {
		return nil, err
	}
	if err := checkShape(p); err != nil {
		return nil, err
	}
	return p, nil
}

// unpacker turns MessagePack into JSON text with attachments.
type unpacker struct {
	rest        []byte
	limits      Limits
	text        []byte
	attachments [][]byte
	bytes       int       // of the attachments
	open        []pending // the arrays and objects that are not at their end
}

func (u *unpacker) packet() (*Packet, error) {
	members, rest, err := msgp.ReadMapHeaderBytes(u.rest)
	if err != nil {
		return nil, errFields
	}
	u.rest = rest
	p := &Packet{Type: 0xff}
	seen := map[string]bool{}
	for range members {
		key, err := u.key()
		if err != nil {
			return nil, err
		}
		name := string(key)
		switch name {
		case "type", "nsp", "id", "data":
			if seen[name] {
				return nil, errFields
			}
			seen[name] = true
		}
		if err := u.field(p, name); err != nil {
			return nil, err
		}
	}
	switch {
	case !seen["type"], !seen["nsp"]:
		return nil, errFields
	case p.Type > ConnectError:
		return nil, errType
	}
	return p, nil
}

// field reads one member of the packet. Others than these four, such as the
// options that the stock client sends along, mean nothing.
func (u *unpacker) field(p *Packet, name string) error {
	switch name {
	case "type", "id":
		if u.undefined() {
			return nil
		}
		n, rest, err := msgp.ReadInt64Bytes(u.rest)
		if err != nil || n < 0 || n > maxExactID {
			return errID
		}
		u.rest = rest
		if name == "type" {
			p.Type = Type(min(n, 0xff))
		} else {
			p.ID, p.HasID = uint64(n), true
		}
		return nil
	case "nsp":
		nsp, rest, err := msgp.ReadStringZC(u.rest)
		if err != nil || !utf8.Valid(nsp) {
			return errFields
		}
		p.Namespace, u.rest = string(nsp), rest
		return nil
	}
	defined, err := u.value()
	if err != nil {
		return err
	}
	if len(u.text)+u.bytes > u.limits.MaxBytes {
		return errTooLarge
	}
	if name == "data" && defined {
		p.Data, p.Attachments = u.text, u.attachments
		u.text = nil
	} else {
		u.text = u.text[:0]
	}
	u.attachments, u.bytes = nil, 0
	return nil
}

// undefined reads JavaScript's undefined, if that comes next.
func (u *unpacker) undefined() bool {
	if bytes.HasPrefix(u.rest, []byte{fixext1, 0}) && len(u.rest) >= 3 {
		u.rest = u.rest[3:]
		return true
	}
	return false
}

// The formats that matter beyond what they hold (MessagePack specification).
const (
	fixext1 = 0xd4
	fixext8 = 0xd7
)

// value appends the next value to the text, without recursion, as the scanner
// reads it. It is false for undefined, which leaves nothing.
func (u *unpacker) value() (defined bool, err error) {
	if defined, err = u.begin(); err != nil {
		return false, err
	}
	for len(u.open) > 0 {
		o := &u.open[len(u.open)-1]
		object := *o&pendingObject != 0
		if *o&^pendingObject == 0 {
			u.open = u.open[:len(u.open)-1]
			if object {
				u.text = append(u.text, '}')
			} else {
				u.text = append(u.text, ']')
			}
			continue
		}
		*o--
		if err := u.element(object); err != nil {
			return false, err
		}
	}
	return defined, nil
}

// element appends the next element of an array, or member of an object, of which
// it begins the value.
func (u *unpacker) element(object bool) error {
	before := len(u.text)
	if last := u.text[before-1]; last != '[' && last != '{' {
		u.text = append(u.text, ',')
	}
	if object {
		key, err := u.key()
		if err != nil {
			return err
		}
		u.text = append(AppendString(u.text, string(key)), ':')
	}
	switch defined, err := u.begin(); {
	case err != nil:
		return err
	case defined:
	case object:
		u.text = u.text[:before]
	default:
		u.text = append(u.text, "null"...)
	}
	return nil
}

// begin appends the next value, of an array or an object the beginning. It is
// false for undefined, which leaves nothing.
func (u *unpacker) begin() (defined bool, err error) {
	if len(u.rest) == 0 {
		return false, errShort
	}
	if len(u.text)+u.bytes > u.limits.MaxBytes {
		return false, errTooLarge
	}
	switch msgp.NextType(u.rest) {
	case msgp.MapType:
		return true, u.object()
	case msgp.ArrayType:
		return true, u.array()
	case msgp.StrType:
		s, err := u.string()
		u.text = AppendString(u.text, string(s))
		return true, err
	case msgp.BinType:
		var data []byte
		data, u.rest, err = msgp.ReadBytesZC(u.rest)
		if err != nil {
			return false, fmt.Errorf("parser: %w", err)
		}
		return true, u.attach(data)
	case msgp.NilType:
		u.rest = u.rest[1:]
		u.text = append(u.text, "null"...)
		return true, nil
	case msgp.BoolType:
		var v bool
		v, u.rest, err = msgp.ReadBoolBytes(u.rest)
		u.text = strconv.AppendBool(u.text, v)
		return true, err
	case msgp.ExtensionType, msgp.TimeType, msgp.Complex64Type, msgp.Complex128Type: // the library's names for types of its own
		return u.extension()
	}
	return true, u.number()
}

func (u *unpacker) number() error {
	switch msgp.NextType(u.rest) {
	case msgp.IntType:
		n, rest, err := msgp.ReadInt64Bytes(u.rest)
		if err != nil {
			return fmt.Errorf("parser: %w", err)
		}
		u.rest, u.text = rest, strconv.AppendInt(u.text, n, 10)
	case msgp.UintType:
		n, rest, err := msgp.ReadUint64Bytes(u.rest)
		if err != nil {
			return fmt.Errorf("parser: %w", err)
		}
		u.rest, u.text = rest, strconv.AppendUint(u.text, n, 10)
	default: // or what is no value at all
		f, rest, err := msgp.ReadFloat64Bytes(u.rest)
		if err != nil {
			return fmt.Errorf("parser: %w", err)
		}
		u.rest, u.text = rest, AppendNumber(u.text, f)
	}
	return nil
}

// string reads a string.
func (u *unpacker) string() ([]byte, error) {
	s, rest, err := msgp.ReadStringZC(u.rest)
	if err != nil {
		return nil, fmt.Errorf("parser: %w", err)
	}
	u.rest = rest
	return s, nil
}

// key reads the key of a map, which JavaScript has only as strings.
func (u *unpacker) key() ([]byte, error) {
	if len(u.rest) == 0 || msgp.NextType(u.rest) != msgp.StrType {
		return nil, errKey
	}
	return u.string()
}

// array begins an array.
func (u *unpacker) array() error {
	n, rest, err := msgp.ReadArrayHeaderBytes(u.rest)
	switch {
	case err != nil:
		return fmt.Errorf("parser: %w", err)
	case uint64(n) > uint64(len(rest)): // an element has a byte at least
		return errShort
	}
	u.rest, u.text, u.open = rest, append(u.text, '['), append(u.open, pending(n))
	return nil
}

// object begins an object.
func (u *unpacker) object() error {
	n, rest, err := msgp.ReadMapHeaderBytes(u.rest)
	switch {
	case err != nil:
		return fmt.Errorf("parser: %w", err)
	case uint64(n) > uint64(len(rest)):
		return errShort
	}
	u.rest, u.text, u.open = rest, append(u.text, '{'), append(u.open, pending(n)|pendingObject)
	return nil
}

// extension reads an extension (notepack.io/lib/encode.js): undefined is one
// byte and a Date eight bytes of type 0, in the formats with a fixed size; all
// else of type 0 is an ArrayBuffer. Other types come as the reference shows them
// to its handlers, as an array of the type and the bytes.
func (u *unpacker) extension() (defined bool, err error) {
	if u.undefined() {
		return false, nil
	}
	format := u.rest[0]
	kind, data, err := u.cutExtension()
	switch {
	case err != nil:
		return false, err
	case kind != 0:
		u.text = append(strconv.AppendInt(append(u.text, '['), int64(kind), 10), ',')
		if err := u.attach(data); err != nil {
			return false, err
		}
		u.text = append(u.text, ']')
		return true, nil
	case format == fixext8:
		u.text = appendDate(u.text, int64(binary.BigEndian.Uint64(data)))
		return true, nil
	}
	return true, u.attach(data)
}

// cutExtension reads the header and the bytes of an extension.
func (u *unpacker) cutExtension() (kind int8, data []byte, err error) {
	b := u.rest
	var header, size int
	switch f := b[0]; {
	case f >= fixext1 && f <= 0xd8: // 1, 2, 4, 8, 16 bytes
		header, size = 2, 1<<(f-fixext1)
	case f == 0xc7 && len(b) >= 3:
		header, size = 3, int(b[1])
	case f == 0xc8 && len(b) >= 4:
		header, size = 4, int(binary.BigEndian.Uint16(b[1:]))
	case f == 0xc9 && len(b) >= 6:
		header, size = 6, int(binary.BigEndian.Uint32(b[1:]))
	default:
		return 0, nil, errShort
	}
	if len(b)-header < size {
		return 0, nil, errShort
	}
	u.rest = b[header+size:]
	return int8(b[header-1]), b[header : header+size : header+size], nil
}

// attach makes data an attachment and appends its placeholder.
func (u *unpacker) attach(data []byte) error {
	if len(u.attachments) == u.limits.MaxAttachments {
		return errTooMany
	}
	u.text = append(u.text, `{"_placeholder":true,"num":`...)
	u.text = append(strconv.AppendInt(u.text, int64(len(u.attachments)), 10), '}')
	u.attachments = append(u.attachments, data)
	u.bytes += len(data)
	return nil
}

// appendDate appends what JSON.stringify makes of a Date (ECMA-262,
// Date.prototype.toISOString), ms after 1970: null beyond its range.
func appendDate(dst []byte, ms int64) []byte {
	const most = 8.64e15
	if ms < -most || ms > most {
		return append(dst, "null"...)
	}
	t := time.UnixMilli(ms).UTC()
	dst = append(dst, '"')
	switch year := t.Year(); {
	case year < 0:
		dst = fmt.Appendf(dst, "-%06d", -year)
	case year > 9999:
		dst = fmt.Appendf(dst, "+%06d", year)
	default:
		dst = fmt.Appendf(dst, "%04d", year)
	}
	return t.AppendFormat(dst, `-01-02T15:04:05.000Z"`)
}
