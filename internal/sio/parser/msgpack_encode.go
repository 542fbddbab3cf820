package parser

import (
	"errors"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

var errPack = errors.New("parser: data is not valid JSON with its attachments")

// AppendMessagePack appends the one message that carries p, attachments
// included (socket.io-msgpack-parser/index.js). Integers of up to 64 bits stay
// integers; larger ones, and all other numbers, become doubles, which is what a
// JSON client makes of them. It fails if p.Data is no JSON text, or its
// placeholders do not fit the attachments: see [CheckArgs].
func AppendMessagePack(dst []byte, p *Packet) ([]byte, error) {
	members := uint32(2)
	if p.Data != nil {
		members++
	}
	if p.HasID {
		members++
	}
	dst = msgp.AppendMapHeader(dst, members)
	dst = msgp.AppendInt(msgp.AppendString(dst, "type"), int(p.Type))
	dst = msgp.AppendString(msgp.AppendString(dst, "nsp"), p.Namespace)
	if p.HasID {
		dst = msgp.AppendUint64(msgp.AppendString(dst, "id"), p.ID)
	}
	if p.Data == nil {
		return dst, nil
	}
	var l layout
	check := newScanner(p.Data, len(p.Attachments))
	check.layout = &l
	if _, ok := check.document(); !ok {
		return nil, errPack
	}
	k := packer{
		dst: msgp.AppendString(dst, "data"), text: scanner{b: p.Data}, sizes: l.sizes, attachments: p.Attachments,
	}
	k.pack()
	return k.dst, nil
}

// packer turns a JSON text that has been checked into MessagePack, without
// recursion, as the scanner.
type packer struct {
	dst         []byte
	text        scanner
	sizes       []uint32 // of the arrays and objects still to come: see layout
	attachments [][]byte
	open        []pending
}

// pending is what an array or an object, of those that are open, still has.
type pending uint32

const pendingObject pending = 1 << 31 // marks an object; the rest is how many members

// pack packs the whole text.
func (k *packer) pack() {
	for k.value(); len(k.open) > 0; {
		k.text.space()
		o := &k.open[len(k.open)-1]
		if *o&^pendingObject == 0 {
			k.text.i++ // the closing bracket
			k.open = k.open[:len(k.open)-1]
			continue
		}
		*o--
		k.text.eat(',')
		if *o&pendingObject != 0 {
			k.text.space()
			k.string()
			k.text.space()
			k.text.i++ // the colon
		}
		k.value()
	}
}

// value packs the next value, of an array or an object the beginning.
func (k *packer) value() {
	s := &k.text
	s.space()
	switch c := s.peek(); c {
	case '"':
		k.string()
	case '[', '{':
		k.begin(c == '{')
	case 't', 'f':
		k.dst = msgp.AppendBool(k.dst, c == 't')
		_ = s.word("true") || s.word("false")
	case 'n':
		k.dst = msgp.AppendNil(k.dst)
		s.word("null")
	default:
		start := s.i
		s.number()
		k.number(string(s.b[start:s.i]))
	}
}

func (k *packer) string() {
	start := k.text.i
	k.text.string()
	said, _ := unquote(k.text.b[start:k.text.i]) // has been checked
	k.dst = msgp.AppendString(k.dst, said)
}

// begin begins an array or an object, or packs the whole of what an object stands
// for.
func (k *packer) begin(object bool) {
	n := k.sizes[0]
	k.sizes = k.sizes[1:]
	switch {
	case n&standsFor != 0:
		k.dst = msgp.AppendBytes(k.dst, k.attachments[n&^standsFor])
		k.text.value() // may hold anything
		return
	case object:
		k.dst = msgp.AppendMapHeader(k.dst, n)
		k.open = append(k.open, pending(n)|pendingObject)
	default:
		k.dst = msgp.AppendArrayHeader(k.dst, n)
		k.open = append(k.open, pending(n))
	}
	k.text.i++ // the opening bracket
}

func (k *packer) number(literal string) {
	if i, err := strconv.ParseInt(literal, 10, 64); err == nil {
		k.dst = msgp.AppendInt64(k.dst, i)
		return
	}
	if u, err := strconv.ParseUint(literal, 10, 64); err == nil {
		k.dst = msgp.AppendUint64(k.dst, u)
		return
	}
	f, _ := strconv.ParseFloat(literal, 64) // beyond its range: infinity, as in JavaScript
	k.dst = msgp.AppendFloat64(k.dst, f)
}
