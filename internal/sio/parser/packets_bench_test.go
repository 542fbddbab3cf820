package parser

import (
	"strings"
	"testing"
)

// samples are packets as applications send them.
var samples = []struct {
	name   string
	packet Packet
}{
	{"event", Packet{Type: Event, Namespace: "/", Data: []byte(`["message",{"user":"someone","text":"` + strings.Repeat("x", 60) + `"}]`)}},
	{"ack", Packet{Type: Ack, Namespace: "/chat", ID: 42, HasID: true, Data: []byte(`[{"ok":true,"at":1700000000123}]`)}},
	{"binary", Packet{
		Type: Event, Namespace: "/", Data: []byte(`["file",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{make([]byte, 1000)},
	}},
	{"numbers", Packet{Type: Event, Namespace: "/", Data: []byte(`["at",[` + strings.Repeat("12.345,-7,", 50) + `0]]`)}},
}

func BenchmarkEncodeJSON(b *testing.B) {
	for _, c := range samples {
		b.Run(c.name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendText(dst[:0], &c.packet)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

func BenchmarkEncodeMessagePack(b *testing.B) {
	for _, c := range samples {
		b.Run(c.name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = AppendMessagePack(dst[:0], &c.packet); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

func BenchmarkDecodeJSON(b *testing.B) {
	for _, c := range samples {
		b.Run(c.name, func(b *testing.B) {
			text := AppendText(nil, &c.packet)
			d := NewDecoder(Limits{})
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				p, err := d.Text(text)
				for _, a := range c.packet.Attachments {
					p, err = d.Binary(a)
				}
				if err != nil || p == nil {
					b.Fatalf("packet %v, %v", p, err)
				}
			}
		})
	}
}

func BenchmarkDecodeMessagePack(b *testing.B) {
	for _, c := range samples {
		b.Run(c.name, func(b *testing.B) {
			packed, err := AppendMessagePack(nil, &c.packet)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(packed)))
			for b.Loop() {
				if _, err := NewDecoder(Limits{}).Binary(packed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
