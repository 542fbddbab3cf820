package link

import (
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestWire: what nodes of 0.1 send is understood, as docs/versioning.md promises to nodes of two minor versions that follow
// each other. That of the messages within is held by buf. The texts are what that version sends: they are not changed, but
// others are added, and gone are those of a version that no node of this one has to understand.
func TestWire(t *testing.T) {
	for name, tt := range map[string]struct {
		sent string // in hex
		want packet
	}{
		"0.1, pieces": {
			`01 00 6161616161 6262626262 07 02 ac02 ad02 904e  05 03 68656c6c6f  02 01 6865  00 02`,
			packet{
				from: "aaaaa", to: "bbbbb", life: 7, turn: 2, handled: 300, received: 301, first: 10000,
				pieces: []piece{{wholeMessage, []byte("hello")}, {partFirst, []byte("he")}, {partLast, []byte{}}},
			},
		},
		"0.1, flags": {
			`01 07 6161616161 6262626262 07 02 00 00 00`,
			packet{flags: flagAsk | flagAnswer | flagGap, from: "aaaaa", to: "bbbbb", life: 7, turn: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(strings.ReplaceAll(tt.sent, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := parsePacket(b)
			if err != nil || !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
	for name, tt := range map[string]struct {
		sent string
		want announcement
	}{
		"0.1, all": {
			`{"name":"n1","epoch":"aaaaa","address":"192.0.2.1:8080","version":"0.1.0","features":5,"connections":3,"load":0.5,` +
				`"activity":{"at":"2026-12-01T10:00:01Z","sessions":{"websocket":2},"queued":4,"received":5,"sent":6,"emits":7,"fan_out":8},` +
				`"started":"2026-12-01T10:00:00Z","ask":true,"goodbye":true}`,
			announcement{
				Name: "n1", Epoch: "aaaaa", Address: "192.0.2.1:8080", Version: "0.1.0", Features: 5, Connections: 3, Load: 0.5,
				Activity: &Activity{
					At: time.Date(2026, 12, 1, 10, 0, 1, 0, time.UTC), Sessions: map[string]int{"websocket": 2}, Queued: 4, Received: 5, Sent: 6, Emits: 7, FanOut: 8,
				},
				Started: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC), Ask: true, Goodbye: true,
			},
		},
		"0.1, as little as there may be": {
			`{"name":"n1","epoch":"aaaaa","connections":0,"started":"2026-12-01T10:00:00Z"}`,
			announcement{Name: "n1", Epoch: "aaaaa", Started: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)},
		},
		"a later version's, with more": {
			`{"name":"n1","epoch":"aaaaa","connections":0,"started":"2026-12-01T10:00:00Z","something":{"new":1}}`,
			announcement{Name: "n1", Epoch: "aaaaa", Started: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got, ok := parseAnnouncement([]byte(tt.sent)); !ok || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v, want %+v", got, ok, tt.want)
			}
		})
	}
}

// TestWireOfThis: what this version sends is in TestWire for those that come later.
func TestWireOfThis(t *testing.T) {
	p := packet{
		from: "aaaaa", to: "bbbbb", life: 7, turn: 2, handled: 300, received: 301, first: 10000,
		pieces: []piece{{wholeMessage, []byte("hello")}, {partFirst, []byte("he")}, {partLast, nil}},
	}
	const want = "010061616161616262626262" + "0702ac02ad02904e" + "050368656c6c6f" + "02016865" + "0002"
	if got := hex.EncodeToString(p.append(nil)); got != want {
		t.Errorf("a packet is %s, want %s", got, want)
	}
}
