package parser

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// defaultMaxBytes holds a text and one attachment of the reference's largest
// message (engine.io/lib/server.ts, maxHttpBufferSize: 1e6 bytes) with room to
// spare.
const defaultMaxBytes = 2_000_000

var (
	errEmpty       = errors.New("parser: empty packet")
	errType        = errors.New("parser: unknown packet type")
	errCount       = errors.New("parser: bad number of attachments")
	errTooMany     = errors.New("parser: too many attachments")
	errTooLarge    = errors.New("parser: packet too large")
	errUTF8        = errors.New("parser: text is not UTF-8")
	errID          = errors.New("parser: bad ack id")
	errShape       = errors.New("parser: data does not fit the packet type")
	errReserved    = errors.New("parser: reserved event name")
	errInterleaved = errors.New("parser: text while attachments are awaited")
	errMixed       = errors.New("parser: text from a client that speaks MessagePack")
	errUnexpected  = errors.New("parser: binary while no attachment is awaited")
)

// Limits bounds what one packet may make a [Decoder] hold, so that it can be
// used on peers nobody has authenticated yet (CVE-2026-33151). How long an
// unfinished packet may wait is up to the caller, who has the clock.
type Limits struct {
	MaxAttachments int // default, and most: the constant of that name
	MaxBytes       int // text and attachments of one packet together; default 2,000,000
}

// Decoder assembles the packets of one connection from its messages, in order.
// It is not safe for concurrent use. After an error the protocol has the
// connection closed; the Decoder has forgotten the packet it was assembling.
type Decoder struct {
	limits   Limits
	started  bool // the first message has told the encoding
	encoding Encoding

	pending *incomplete // waits for attachments; nil: none
}

// incomplete is a packet that waits for attachments.
type incomplete struct {
	*Packet
	missing int // attachments still to come
	bytes   int // what it holds so far
}

// NewDecoder returns a Decoder with these limits.
func NewDecoder(l Limits) *Decoder {
	if l.MaxAttachments <= 0 || l.MaxAttachments > MaxAttachments {
		l.MaxAttachments = MaxAttachments
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = defaultMaxBytes
	}
	return &Decoder{limits: l}
}

// waiting reports whether a packet is unfinished: its attachments come next.
func (d *Decoder) waiting() bool { return d.pending != nil }

// Encoding is how the peer writes its packets, and wants to read ours; JSON as
// long as it has not said anything.
func (d *Decoder) Encoding() Encoding { return d.encoding }

// Begun reports whether the packet under way has none of its attachments yet, and
// in which namespace it is.
func (d *Decoder) Begun() (namespace string, ok bool) {
	if !d.waiting() || len(d.pending.Attachments) > 0 {
		return "", false
	}
	return d.pending.Namespace, true
}

// Text takes a text message and returns its packet, or neither packet nor
// error while attachments are awaited. The caller hands b over: the packet
// keeps parts of it.
func (d *Decoder) Text(b []byte) (*Packet, error) {
	d.started = true
	if d.encoding == MessagePack {
		return nil, errMixed
	}
	if d.waiting() {
		d.Reset()
		return nil, errInterleaved
	}
	if len(b) > d.limits.MaxBytes {
		return nil, errTooLarge
	}
	if !utf8.Valid(b) {
		return nil, errUTF8
	}
	p, attachments, err := decodeText(b, d.limits.MaxAttachments)
	if err != nil {
		return nil, err
	}
	if attachments == 0 {
		return p, nil
	}
	p.Attachments = make([][]byte, 0, attachments)
	d.pending = &incomplete{p, attachments, len(b)}
	return nil, nil
}

// Binary takes a binary message: from a client that speaks JSON an attachment of
// the packet under way, which it returns once that is complete; from one that
// speaks MessagePack a packet. The caller hands b over.
func (d *Decoder) Binary(b []byte) (*Packet, error) {
	if !d.started {
		d.started, d.encoding = true, MessagePack
	}
	if d.encoding == MessagePack {
		return unpack(b, d.limits)
	}
	if !d.waiting() {
		return nil, errUnexpected
	}
	p := d.pending
	if len(b) > d.limits.MaxBytes-p.bytes {
		d.Reset()
		return nil, errTooLarge
	}
	p.Attachments = append(p.Attachments, b)
	p.bytes += len(b)
	if p.missing--; p.missing > 0 {
		return nil, nil
	}
	d.Reset()
	return p.Packet, nil
}

// Reset discards the packet under way.
func (d *Decoder) Reset() { d.pending = nil }

// decodeText reads a whole text message, which is valid UTF-8, and returns
// how many attachments are to follow it.
func decodeText(b []byte, maxAttachments int) (p *Packet, attachments int, err error) {
	if len(b) == 0 {
		return nil, 0, errEmpty
	}
	p = &Packet{Type: Type(b[0] - '0'), Namespace: "/"}
	b = b[1:]
	switch p.Type {
	case Connect, Disconnect, Event, Ack, ConnectError:
	case BinaryEvent, BinaryAck:
		p.Type -= BinaryEvent - Event
		if attachments, b, err = cutCount(b, maxAttachments); err != nil {
			return nil, 0, err
		}
	default:
		return nil, 0, errType
	}
	p.Namespace, b = cutNamespace(b)
	if p.ID, p.HasID, b, err = cutID(b); err != nil {
		return nil, 0, err
	}
	if p.Data, err = checkData(b, attachments); err != nil {
		return nil, 0, err
	}
	return p, attachments, checkShape(p)
}

// cutCount reads the number of attachments and the hyphen behind it.
func cutCount(b []byte, most int) (n int, rest []byte, err error) {
	id, ok, rest, err := cutID(b)
	if err != nil || !ok || id == 0 || len(rest) == 0 || rest[0] != '-' {
		return 0, nil, errCount
	}
	if id > uint64(most) {
		return 0, nil, errTooMany
	}
	return int(id), rest[1:], nil
}

// cutNamespace reads the namespace, which starts with a slash and ends with a
// comma or the message; "/" if there is none.
func cutNamespace(b []byte) (namespace string, rest []byte) {
	if len(b) == 0 || b[0] != '/' {
		return "/", b
	}
	for i, c := range b {
		if c == ',' {
			return string(b[:i]), b[i+1:]
		}
	}
	return string(b), nil
}

// cutID reads a decimal number, if there is one, as JavaScript does: leading
// zeros do not count, and above 2^53 it is the nearest that a double can be, in
// the digits that JavaScript writes for it (socket.io-parser/lib/index.ts,
// decodeString). It fails beyond 64 bits, where there the acks go wrong.
func cutID(b []byte) (id uint64, ok bool, rest []byte, err error) {
	n := 0
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	digits, rest := bytes.TrimLeft(b[:n], "0"), b[n:]
	if len(digits) > len("18446744073709551615") {
		return 0, false, nil, errID
	}
	for _, c := range digits {
		if id = id*10 + uint64(c-'0'); id > maxExactID {
			if id, err = roundID(string(digits)); err != nil {
				return 0, false, nil, errID
			}
			break
		}
	}
	return id, n > 0, rest, nil
}

// roundID returns what JavaScript writes for a number of these digits.
func roundID(digits string) (uint64, error) {
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strconv.FormatFloat(f, 'f', -1, 64), 10, 64)
}

// checkData checks that b is one JSON value and returns it without the blanks
// behind it, nil if b is empty. In front there must be none: the reference
// reads a blank there as the ack id 0.
func checkData(b []byte, attachments int) ([]byte, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] <= ' ' {
		return nil, errShape
	}
	s := newScanner(b, attachments)
	data, ok := s.document()
	if !ok {
		return nil, fmt.Errorf("parser: %s", s.problem())
	}
	return data, nil
}

// checkShape checks what each type may carry (socket.io-parser/lib/index.ts,
// isPayloadValid), and that an id stands only where it has a meaning.
func checkShape(p *Packet) error {
	if p.HasID != (p.Type == Ack) && p.Type != Event {
		return errID
	}
	var first byte
	if len(p.Data) > 0 {
		first = p.Data[0]
	}
	ok := false
	switch p.Type {
	case Connect:
		ok = first == 0 || first == '{'
	case Disconnect:
		ok = first == 0
	case ConnectError:
		ok = first == '"' || first == '{'
	case Ack:
		ok = first == '['
	case Event:
		return checkName(p.Data)
	}
	if !ok {
		return errShape
	}
	return nil
}

// checkName checks that data, valid JSON, is an array that starts with an
// event's name: a number, or a string that is not reserved.
func checkName(data []byte) error {
	literal, _, ok := cutName(data)
	if !ok {
		return errShape
	}
	if literal[0] != '"' {
		return nil
	}
	if plain(literal) {
		// The usual case, without allocating.
		if Reserved(string(literal[1 : len(literal)-1])) {
			return errReserved
		}
		return nil
	}
	name, ok := unquote(literal)
	if !ok {
		return errShape
	}
	if Reserved(name) {
		return errReserved
	}
	return nil
}
