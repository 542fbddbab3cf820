package control

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// arguments is a message with the arguments of an event or of its reply.
type arguments interface {
	GetArgs() []*structpb.Value
	GetArgsJson() string
	GetAttachments() [][]byte
}

var (
	_ arguments = (*fanoutv1.EmitRequest)(nil)
	_ arguments = (*fanoutv1.CallRequest)(nil)
	_ arguments = (*fanoutv1.ReplyRequest)(nil)
	_ arguments = (*fanoutv1.PublishRequest)(nil)
	_ arguments = (*fanoutv1.ConsumeRequest_Answer)(nil)
)

// toArgs converts arguments to the text of a JSON array and checks them
// together with the attachments. After a problem its result means nothing.
func toArgs(p *problems, m arguments) []byte {
	attachments := len(m.GetAttachments())
	if attachments > parser.MaxAttachments {
		p.add("attachments", "%d attachments, but clients take at most %d", attachments, parser.MaxAttachments)
	}
	field, args := "args_json", []byte(m.GetArgsJson())
	if values := m.GetArgs(); len(values) > 0 {
		if len(args) > 0 {
			p.add("args_json", "give args or args_json, not both")
			return nil
		}
		field = "args"
		found := len(p.list)
		if args = appendArgs(p, nil, values); len(p.list) > found {
			return nil
		}
	}
	if attachments > parser.MaxAttachments {
		// Which placeholders such a packet should have, nobody can say.
		if bad := (*parser.ArgsError)(nil); errors.As(parser.CheckArgs(args, 0), &bad) {
			p.add(field, "%s", bad.Msg)
		}
		return nil
	}
	if err := parser.CheckArgs(args, attachments); err != nil {
		msg := err.Error()
		if bad := (*parser.ArgsError)(nil); errors.As(err, &bad) {
			if msg = bad.Msg; bad.Field == "attachments" {
				field = bad.Field
			}
		}
		p.add(field, "%s", msg)
	}
	return args
}

// appendArgs appends values as the text of a JSON array. The text is compact,
// and the same for the same values: keys are sorted.
func appendArgs(p *problems, dst []byte, values []*structpb.Value) []byte {
	dst = append(dst, '[')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendValue(dst, v); err != nil {
			p.add(fmt.Sprintf("args[%d]", i), "%s", err)
		}
	}
	return append(dst, ']')
}

var (
	errNoKind    = errors.New("holds a value of no kind")
	errNotFinite = errors.New("holds a number that is not finite, which JSON cannot express")
)

// appendValue appends v as JSON text. Its recursion goes no deeper than the
// message's, which protobuf bounds at 10000 when it reads one.
func appendValue(dst []byte, v *structpb.Value) (_ []byte, err error) {
	switch k := v.GetKind().(type) {
	case *structpb.Value_NullValue:
		return append(dst, "null"...), nil
	case *structpb.Value_BoolValue:
		return strconv.AppendBool(dst, k.BoolValue), nil
	case *structpb.Value_NumberValue:
		if math.IsNaN(k.NumberValue) || math.IsInf(k.NumberValue, 0) {
			return dst, errNotFinite
		}
		return parser.AppendNumber(dst, k.NumberValue), nil
	case *structpb.Value_StringValue:
		return parser.AppendString(dst, k.StringValue), nil
	case *structpb.Value_ListValue:
		dst = append(dst, '[')
		for i, e := range k.ListValue.GetValues() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendValue(dst, e); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case *structpb.Value_StructValue:
		fields := k.StructValue.GetFields()
		dst = append(dst, '{')
		for i, name := range slices.Sorted(maps.Keys(fields)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(parser.AppendString(dst, name), ':')
			if dst, err = appendValue(dst, fields[name]); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
	return dst, errNoKind
}
