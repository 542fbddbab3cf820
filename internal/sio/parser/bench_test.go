package parser

import (
	"strings"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"100B", `2["message",{"user":"someone","text":"` + strings.Repeat("x", 60) + `"}]`},
		{"10KB", `2["message",[` + strings.Repeat(`{"id":12345,"name":"abcdefgh","ok":true},`, 240) + `{}]]`},
	} {
		text := []byte(c.text)
		b.Run(c.name, func(b *testing.B) {
			d := NewDecoder(Limits{})
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := d.Text(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckArgs(b *testing.B) {
	args := []byte(`[{"user":"someone","text":"` + strings.Repeat("x", 60) + `"}]`)
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckArgs(args, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	args := []byte(`[{"user":"someone","text":"` + strings.Repeat("x", 60) + `"}]`)
	b.ReportAllocs()
	for b.Loop() {
		AppendEvent(nil, &Packet{Type: Event, Namespace: "/"}, "message", args)
	}
}
