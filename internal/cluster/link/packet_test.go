package link

import (
	"bytes"
	"reflect"
	"testing"
)

func FuzzPacket(f *testing.F) {
	f.Add((&packet{flags: flagAsk | flagGap, from: "aaaaa", to: "bbbbb", life: 1, turn: 2, handled: 3, received: 4}).append(nil))
	f.Add((&packet{from: "aaaaa", to: "bbbbb", life: 1, first: 9, pieces: []piece{{wholeMessage, []byte("x")}, {partFirst, nil}}}).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePacket(b)
		if err != nil {
			return
		}
		again, err := parsePacket(p.append(nil))
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v comes back as %+v, %v", p, again, err)
		}
	})
}

func TestBadPackets(t *testing.T) {
	good := (&packet{from: "aaaaa", to: "bbbbb", life: 1, first: 9, pieces: []piece{{wholeMessage, []byte("x")}}}).append(nil)
	if _, err := parsePacket(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		if _, err := parsePacket(good[:i]); err == nil && i != 17 { // there the pieces begin
			t.Errorf("%d of %d bytes are taken for a packet", i, len(good))
		}
	}
	for name, b := range map[string][]byte{
		"another version":   append([]byte{version + 1}, good[1:]...),
		"an unknown flag":   bytes.Replace(good, []byte{version, 0}, []byte{version, 0x80}, 1),
		"pieces of no life": (&packet{from: "aaaaa", to: "bbbbb", first: 9, pieces: []piece{{wholeMessage, nil}}}).append(nil),
		"handled first":     (&packet{from: "aaaaa", to: "bbbbb", handled: 2, received: 1}).append(nil),
		"a huge piece":      append((&packet{from: "aaaaa", to: "bbbbb", life: 1, first: 9}).append(nil), 0xff, 0xff, 0xff, 0xff, 0x7f, 3),
	} {
		if _, err := parsePacket(b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzAnnouncement(f *testing.F) {
	f.Add([]byte(`{"name":"n","epoch":"aaaaa","connections":1,"started":"2026-01-01T00:00:00Z","ask":true}`))
	f.Add([]byte(`{"name":"n","epoch":"aa.aa"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, ok := parseAnnouncement(b); ok && (a.Name == "" || !validEpoch(a.Epoch) || a.Connections < 0) {
			t.Fatalf("%+v", a)
		}
	})
}
