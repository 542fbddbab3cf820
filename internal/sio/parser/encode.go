package parser

import (
	"bytes"
	"strconv"
)

// AppendText appends the text part of p: type, number of attachments,
// namespace, ack id and data. The attachments follow it on the wire as binary
// messages, in order and verbatim. p is taken as it is: checking arguments is
// [CheckArgs]'s business.
func AppendText(dst []byte, p *Packet) []byte {
	return append(appendHeader(dst, p), p.Data...)
}

// AppendEvent appends the text part of an event named event with args, the
// text of a JSON array without the name (empty: no arguments), spliced in
// verbatim. Type, namespace, ack id and the number of attachments are p's; its
// Data is not looked at.
func AppendEvent(dst []byte, p *Packet, event string, args []byte) []byte {
	return AppendEventData(appendHeader(dst, p), event, args)
}

// AppendEventData appends the data of an event, a JSON array of its name and
// its arguments, as [AppendEvent] has it.
func AppendEventData(dst []byte, event string, args []byte) []byte {
	dst = AppendString(append(dst, '['), event)
	// What follows the opening bracket, up to and with the closing one.
	rest := bytes.TrimLeft(args, jsonSpace)
	if len(rest) > 0 {
		rest = bytes.TrimLeft(rest[1:], jsonSpace)
	}
	if len(rest) == 0 || rest[0] == ']' {
		return append(dst, ']')
	}
	dst = append(dst, ',')
	return append(dst, rest...)
}

// AddArgument adds a string as the last argument to the text of an event, or to
// its data.
func AddArgument(text []byte, s string) []byte {
	text = bytes.TrimRight(text, jsonSpace)
	return append(AppendString(append(text[:len(text)-1], ','), s), ']')
}

func appendHeader(dst []byte, p *Packet) []byte {
	t := p.Type
	if n := len(p.Attachments); n > 0 {
		switch t {
		case Event:
			t = BinaryEvent
		case Ack:
			t = BinaryAck
		}
		dst = append(dst, '0'+byte(t))
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, '-')
	} else {
		dst = append(dst, '0'+byte(t))
	}
	if p.Namespace != "" && p.Namespace != "/" {
		dst = append(dst, p.Namespace...)
		dst = append(dst, ',')
	}
	if p.HasID {
		dst = strconv.AppendUint(dst, p.ID, 10)
	}
	return dst
}
