package engineio

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// samples are messages of every kind, whose encodings seed the fuzzers.
func samples() []*Message {
	return []*Message{
		Text(nil), Text([]byte("hello")), Text([]byte("€😀\u2028")), Text([]byte(`2["event",{"a":1}]`)),
		Binary(nil), Binary([]byte{0, 0x1e, 0xff}), Binary(bytes.Repeat([]byte{7}, 300)),
		pingPacket, pongPacket, closePacket, noopPacket, probeAnswer, packet(packetUpgrade, ""), packet(packetPing, "probe"),
	}
}

// check wants of a decoded packet what all who handle it rely on.
func check(t *testing.T, p inbound, input []byte) {
	t.Helper()
	if p.kind < packetOpen || p.kind > packetNoop {
		t.Fatalf("packet type %q", p.kind)
	}
	if p.binary && p.kind != packetMessage {
		t.Fatalf("a binary packet of type %q", p.kind)
	}
	if len(p.data) > len(input) {
		t.Fatalf("%d bytes out of %d", len(p.data), len(input))
	}
}

// again wants that a message which was decoded is encoded and decoded to itself.
func again(t *testing.T, p inbound, encode func([]byte, []*Message) []byte, decode func([]byte, func(inbound) bool) error) {
	t.Helper()
	if p.kind != packetMessage || !p.binary && !utf8.Valid(p.data) {
		return
	}
	m := Text(p.data)
	if p.binary {
		m = Binary(p.data)
	}
	n := 0
	err := decode(encode(nil, []*Message{m}), func(q inbound) bool {
		n++
		if q.kind != p.kind || q.binary != p.binary || !bytes.Equal(q.data, p.data) {
			t.Fatalf("%+v came back as %+v", p, q)
		}
		return true
	})
	// A separator inside of text cannot be told from one between packets.
	if err == nil && n != 1 && !bytes.ContainsRune(p.data, separator) {
		t.Fatalf("%+v came back as %d packets", p, n)
	}
}

func FuzzDecodeText(f *testing.F) {
	for _, m := range samples() {
		f.Add(m.payloadPacket())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeText(b)
		if err != nil {
			return
		}
		check(t, p, b)
		if !p.binary && !bytes.Equal(append([]byte{p.kind}, p.data...), b) {
			t.Fatalf("%q was read as %+v", b, p)
		}
	})
}

func FuzzDecodePayload(f *testing.F) {
	all := samples()
	for i := range all {
		f.Add(appendPayload(nil, all[i:min(i+3, len(all))]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		err := decodePayload(b, func(p inbound) bool {
			n++
			check(t, p, b)
			if !bytes.ContainsRune(p.data, separator) || p.binary {
				again(t, p, appendPayload, decodePayload)
			}
			return true
		})
		if want := bytes.Count(b, []byte{separator}) + 1; n > want || err == nil && n != want {
			t.Fatalf("%d packets of %d, %v", n, want, err)
		}
	})
}

func FuzzDecodePayloadV3(f *testing.F) {
	all := samples()
	for i := range all {
		f.Add(appendPayloadV3(nil, all[i:min(i+3, len(all))]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		decodePayloadV3(b, func(p inbound) bool {
			check(t, p, b)
			again(t, p, appendPayloadV3, decodePayloadV3)
			return true
		})
	})
}

func FuzzDecodeBinaryPayloadV3(f *testing.F) {
	all := samples()
	for i := range all {
		f.Add(appendBinaryPayloadV3(nil, all[i:min(i+3, len(all))]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeBinaryPayloadV3(b, func(p inbound) bool {
			check(t, p, b)
			again(t, p, appendBinaryPayloadV3, decodeBinaryPayloadV3)
			return true
		})
	})
}

// One binary packet of v3, as in a WebSocket frame, and a text one.
func FuzzDecodeFrameV3(f *testing.F) {
	for _, m := range samples() {
		x := m.framed(framingV3)
		f.Add(x.frame[x.header:], m.opcode == wsconn.OpBinary)
		x = m.framed(framingV3 | framingBase64)
		f.Add(x.frame[x.header:], false)
	}
	f.Fuzz(func(t *testing.T, b []byte, binary bool) {
		decode := decodeTextV3
		if binary {
			decode = decodeBinaryV3
		}
		if p, err := decode(b); err == nil {
			check(t, p, b)
		}
	})
}

func FuzzReadStreamFrame(f *testing.F) {
	all := samples()
	for i := range all {
		var b []byte
		for _, m := range all[i:min(i+3, len(all))] {
			b = appendStreamFrame(b, m)
		}
		f.Add(b)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1000
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			p, err := readStreamFrame(r, limit)
			if err != nil {
				if errors.Is(err, io.EOF) && r.Buffered() > 0 {
					t.Fatal("an end before the end")
				}
				return
			}
			check(t, p, b)
			if len(p.data) > limit {
				t.Fatalf("%d bytes, beyond the limit", len(p.data))
			}
		}
	})
}

// What a JSONP form holds is decoded, and what answers it is a script that
// calls one function with one string, whatever is in it.
func FuzzJSONP(f *testing.F) {
	f.Add([]byte("d=4hello"), "0")
	f.Add([]byte("d=4a%5Cnb%5C%5Cn"), "12")
	f.Add([]byte("x=1"), ");alert(1")
	f.Fuzz(func(t *testing.T, b []byte, j string) {
		payload, _ := unwrapJSONP(b)
		script := wrapJSONP(j, payload)
		head, rest, ok := bytes.Cut(script, []byte("](\""))
		text, ends := bytes.CutSuffix(rest, []byte("\");"))
		if !ok || !ends || !bytes.HasPrefix(head, []byte("___eio[")) || bytes.ContainsAny(text, "<>\u2028\u2029\n\r") {
			t.Fatalf("script %q", script)
		}
		for _, c := range head[len("___eio["):] {
			if c < '0' || c > '9' {
				t.Fatalf("script %q", script)
			}
		}
		for i := 0; i < len(text); i++ {
			if text[i] == '\\' {
				i++
			} else if text[i] == '"' {
				t.Fatalf("script %q", script)
			}
		}
	})
}
