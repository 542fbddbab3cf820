package parser

import (
	"errors"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

func TestDecodeRefusals(t *testing.T) {
	tests := []struct {
		name string
		text string
		want error // nil: accepted
	}{
		{"unknown type", `7["a"]`, errType},
		{"empty", ``, errEmpty},
		{"not UTF-8", "2[\"\xff\"]", errUTF8},
		{"UTF-8 surrogate", "2[\"\xed\xa0\x80\"]", errUTF8},
		{"count of zero", `50-["a"]`, errCount},
		{"count beyond any integer", `5` + strings.Repeat("9", 99) + `-["a"]`, errCount},
		{"eleven attachments", `511-["a"]`, errTooMany},
		{"id that JavaScript writes with more than 64 bits", `218446744073709551615["a"]`, errID},
		{"id that overflows 64 bits", `218446744073709551617["a"]`, errID},
		{"disconnect with id", `11`, errID},
		{"ack without id", `3["a"]`, errID},
		{"connect with array", `0[1]`, errShape},
		{"event with object", `2{"a":1}`, errShape},
		{"reserved", `2["disconnect"]`, errReserved},
		{"reserved, escaped", `2["disconnec\u0074"]`, errReserved},
		{"number beyond a double", `2["a",1e999]`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewDecoder(Limits{}).Text([]byte(tt.text))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if (p != nil) != (err == nil) {
				t.Errorf("packet %v with error %v", p, err)
			}
		})
	}
	t.Run("byte order mark", func(t *testing.T) {
		_, err := NewDecoder(Limits{}).Text([]byte("2\ufeff[\"a\"]"))
		if err == nil || !strings.Contains(err.Error(), "invalid JSON at byte 0") {
			t.Errorf("got %v", err)
		}
	})
}

// Nesting has no limit but the text's, and costs no stack.
func TestDecodeNesting(t *testing.T) {
	nested := func(open, inside, end string, n int) string {
		return strings.Repeat(open, n) + inside + strings.Repeat(end, n)
	}
	for _, n := range []int{1, 63, 64, 65, 128, 129, 600, 2000, 100_000} {
		for _, text := range []string{
			`2["a",` + nested("[", "", "]", n) + "]",
			`2["a",` + nested(`{"a":`, "1", "}", n) + "]",
			`2["a",` + nested(`[{"a":[1,`, "{}", `],"b":2}]`, n/3+1) + "]",
			`0` + nested(`{"a":`, `{}`, "}", n),
		} {
			p, err := NewDecoder(Limits{}).Text([]byte(text))
			if err != nil {
				t.Fatalf("%d levels of %.20s: %v", n, text, err)
			}
			if p.Type == Event {
				if name, args := p.Event(); name != "a" || len(args) != len(text)-len(`2"a",`) {
					t.Errorf("%d levels of %.20s: the event is %q with %d bytes", n, text, name, len(args))
				}
			}
		}
		// With an attachment at the bottom.
		d := NewDecoder(Limits{})
		if _, err := d.Text([]byte(`51-["a",` + nested(`{"a":`, `{"_placeholder":true,"num":0}`, "}", n) + "]")); err != nil {
			t.Fatalf("%d levels around an attachment: %v", n, err)
		}
	}
	for _, text := range []string{
		`2["a",` + strings.Repeat("[", 1_900_000),
		`51-["a",` + strings.Repeat(`{"":`, 400_000),
		`0` + strings.Repeat(`{"a":`, 300_000),
		`2["a",` + nested("[", "", "]", 70) + "}]",
		`2["a",` + strings.Repeat("[", 70) + strings.Repeat("]", 71) + "]",
		`2["a",` + nested(`[{"a":`, "", `]}`, 40) + "]",
		`2["a",` + strings.Repeat("[", 64) + "}" + strings.Repeat("]", 64),
	} {
		if _, err := NewDecoder(Limits{}).Text([]byte(text)); err == nil {
			t.Errorf("%.40s… was taken", text)
		}
	}
}

func TestDecodeID(t *testing.T) {
	// What is wanted was read from the reference (socket.io 4.8.4): the id in its acks.
	for digits, want := range map[string]uint64{
		"0": 0, "7": 7, "007": 7, "00": 0, "0000000000000000000000000000001": 1,
		"9007199254740991": 1<<53 - 1, "9007199254740992": 1 << 53, "9007199254740993": 1 << 53, "9007199254740995": 1<<53 + 4,
		"1732591234567890123": 1732591234567890200, "18446744073709550000": 18446744073709550000, "018446744073709550000": 18446744073709550000,
	} {
		for _, text := range []string{"2" + digits + `["a"]`, "2/chat," + digits + `["a"]`, "3" + digits + `[]`} {
			p, err := NewDecoder(Limits{}).Text([]byte(text))
			if err != nil || !p.HasID || p.ID != want {
				t.Errorf("%s: got %+v, %v, want the id %d", text, p, err, want)
			}
		}
	}
}

// What a client may send with attachments, and what becomes of it, is what the
// reference makes of it (socket.io-parser/lib/binary.ts, reconstructPacket).
func TestDecodePlaceholders(t *testing.T) {
	const ph = `{"_placeholder":true,"num":0}`
	tests := []struct {
		name, args  string
		attachments int
		ok          bool
	}{
		{"one", ph, 1, true},
		{"nobody refers to it", `1`, 1, true},
		{"nobody refers to one", ph, 2, true},
		{"several refer to it", ph + `,[` + ph + `]`, 1, true},
		{"more members", `{"a":1,"_placeholder":true,"b":[2],"num":0,"c":{}}`, 1, true},
		{"the other order", `{"num":0,"_placeholder":true}`, 1, true},
		{"a number with a point", `{"_placeholder":true,"num":0.0}`, 1, true},
		{"a number with an exponent", `{"_placeholder":true,"num":10e-1}`, 2, true},
		{"minus zero", `{"_placeholder":true,"num":-0}`, 1, true},
		{"of equal keys the last", `{"_placeholder":false,"num":9,"_placeholder":true,"num":0}`, 1, true},
		{"of equal keys the last, which is none", `{"_placeholder":true,"num":9,"_placeholder":1}`, 1, true},
		{"of equal keys the last, an object", `{"_placeholder":true,"num":9,"_placeholder":{}}`, 1, true},
		{"not true", `{"_placeholder":false,"num":4},{"_placeholder":"true","num":4},{"_placeholder":1},{"_placeholder":[true],"num":4},{"_placeholder":{"_placeholder":1},"num":4}`, 1, true},
		{"in capitals", `{"_Placeholder":true,"num":4}`, 1, true},
		{"without attachments", `{"_placeholder":true,"num":7},{"_placeholder":true},{"_placeholder":true,"num":"x"}`, 0, true},
		{"nested in one, none", `{"x":{"_placeholder":true,"num":9},"_placeholder":true,"num":0}`, 1, true},
		{"nested in one, none, behind", `{"_placeholder":true,"num":0,"x":[[{"a":{"_placeholder":true}}]]}`, 1, true},
		{"nested in one, several", `{"x":[{"_placeholder":true},{"_placeholder":true}],"_placeholder":true,"num":0}`, 1, true},
		{"as a key", `{"num":{"_placeholder":1}}`, 1, true},

		{"one of none behind one that nests", `{"x":{"_placeholder":true},"_placeholder":true,"num":0},{"_placeholder":true}`, 1, false},
		{"one of none before one that nests", `{"_placeholder":true},{"x":{"_placeholder":true},"_placeholder":true,"num":0}`, 1, false},
		{"nested in an object that is none", `{"x":{"_placeholder":true,"num":9},"num":0}`, 1, false},
		{"number too high", `{"_placeholder":true,"num":1}`, 1, false},
		{"number beyond a double", `{"_placeholder":true,"num":1e999}`, 1, false},
		{"number negative", `{"_placeholder":true,"num":-1}`, 1, false},
		{"number between", `{"_placeholder":true,"num":0.5}`, 1, false},
		{"number missing", `{"_placeholder":true}`, 1, false},
		{"number a string", `{"_placeholder":true,"num":"0"}`, 1, false},
		{"number an array", `{"_placeholder":true,"num":[0]}`, 1, false},
		{"number null", `{"_placeholder":true,"num":null}`, 1, false},
		{"of equal numbers the last", `{"_placeholder":true,"num":0,"num":{}}`, 1, false},
		{"escaped key", `{"\u005fplaceholder":true,"num":4}`, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := "[" + tt.args + "]"
			attachments := make([][]byte, tt.attachments)
			sent := &Packet{Type: Event, Namespace: "/", Attachments: attachments}
			d := NewDecoder(Limits{})
			p, err := d.Text(AppendEvent(nil, sent, "e", []byte(args)))
			for range attachments {
				if err == nil {
					p, err = d.Binary(nil)
				}
			}
			if (err == nil) != tt.ok {
				t.Fatalf("from a browser: %v", err)
			}
			// What comes from a browser can be sent back as it is, in either encoding.
			if checked := CheckArgs([]byte(args), tt.attachments); (checked == nil) != tt.ok {
				t.Errorf("from a backend: %v", checked)
			}
			packet := &Packet{Type: Event, Namespace: "/", Data: AppendEventData(nil, "e", []byte(args)), Attachments: attachments}
			packed, packing := AppendMessagePack(nil, packet)
			if (packing == nil) != tt.ok {
				t.Errorf("to a client that speaks MessagePack: %v", packing)
			}
			if !tt.ok {
				return
			}
			if _, got := p.Event(); got != args || len(p.Attachments) != tt.attachments {
				t.Errorf("got %s with %d attachments, want %s with %d", got, len(p.Attachments), args, tt.attachments)
			}
			if !msgpValid(packed) {
				t.Errorf("%s became %x", args, packed)
			}
		})
	}
}

// msgpValid reports whether b is one value of MessagePack.
func msgpValid(b []byte) bool {
	rest, err := msgp.Skip(b)
	return err == nil && len(rest) == 0
}

func TestDecoderLimits(t *testing.T) {
	const text = `52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	t.Run("text over the limit", func(t *testing.T) {
		if _, err := NewDecoder(Limits{MaxBytes: 5}).Text([]byte(`2["ab"]`)); !errors.Is(err, errTooLarge) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("text at the limit", func(t *testing.T) {
		if p, err := NewDecoder(Limits{MaxBytes: 7}).Text([]byte(`2["ab"]`)); err != nil || p == nil {
			t.Errorf("got %v, %v", p, err)
		}
	})
	t.Run("attachments fill the limit", func(t *testing.T) {
		d := NewDecoder(Limits{MaxBytes: len(text) + 10})
		if _, err := d.Text([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Binary(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		if p, err := d.Binary(make([]byte, 6)); err != nil || p == nil || len(p.Attachments) != 2 {
			t.Errorf("got %v, %v", p, err)
		}
	})
	t.Run("attachments over the limit", func(t *testing.T) {
		d := NewDecoder(Limits{MaxBytes: len(text) + 10})
		if _, err := d.Text([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Binary(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Binary(make([]byte, 7)); !errors.Is(err, errTooLarge) {
			t.Errorf("got %v", err)
		}
		if d.waiting() {
			t.Error("still holds the packet it refused")
		}
	})
	t.Run("fewer attachments allowed", func(t *testing.T) {
		if _, err := NewDecoder(Limits{MaxAttachments: 1}).Text([]byte(text)); !errors.Is(err, errTooMany) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("never more than clients take", func(t *testing.T) {
		if _, err := NewDecoder(Limits{MaxAttachments: 99}).Text([]byte(`511-["a"]`)); !errors.Is(err, errTooMany) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDecoderWaiting(t *testing.T) {
	d := NewDecoder(Limits{})
	if d.waiting() {
		t.Fatal("a new decoder waits")
	}
	if p, err := d.Text([]byte(`2["a"]`)); p == nil || err != nil {
		t.Fatalf("got %v, %v", p, err)
	}
	if _, err := d.Binary([]byte{1}); !errors.Is(err, errUnexpected) {
		t.Errorf("binary after text: %v", err)
	}
	if p, err := d.Text([]byte(`51-["a",{"_placeholder":true,"num":0}]`)); p != nil || err != nil {
		t.Fatalf("got %v, %v", p, err)
	}
	if !d.waiting() {
		t.Error("does not wait for its attachment")
	}
	if _, err := d.Text([]byte(`2["b"]`)); !errors.Is(err, errInterleaved) {
		t.Errorf("text while waiting: %v", err)
	}
	if d.waiting() {
		t.Error("waits after an error")
	}
}

func TestEvent(t *testing.T) {
	tests := []struct {
		name, text      string
		event, argsJSON string
	}{
		{"no arguments", `2["a"]`, "a", `[]`},
		{"arguments", `2["a",1,{"z":1,"a":12345678901234567890}]`, "a", `[1,{"z":1,"a":12345678901234567890}]`},
		{"blanks stay between arguments", `2[ "a" , 1 , 2 ] `, "a", `[1 , 2 ]`},
		{"no arguments, blanks", `2[ "a" ] `, "a", `[]`},
		{"escaped name", `2["\u00e9\"\n",1]`, "é\"\n", `[1]`},
		{"number", `2[-1.50e2,1]`, "-1.50e2", `[1]`},
		{"comma and brackets in the name", `2["a,]\"[",1]`, `a,]"[`, `[1]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewDecoder(Limits{}).Text([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			event, args := p.Event()
			if event != tt.event || args != tt.argsJSON {
				t.Errorf("got %q %s, want %q %s", event, args, tt.event, tt.argsJSON)
			}
		})
	}
	for _, p := range []*Packet{
		{Type: Ack, Data: []byte(`["a"]`)},
		{Type: Event},
		{Type: Event, Data: []byte(`[]`)},
		{Type: Event, Data: []byte(`["a`)},
		{Type: Event, Data: []byte(`["a" 1]`)},
		{Type: Event, Data: []byte(`[{}]`)},
	} {
		if name, args := p.Event(); name != "" || args != "" {
			t.Errorf("%+v: got %q %s", p, name, args)
		}
	}
}

func TestReserved(t *testing.T) {
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		if !Reserved(name) {
			t.Errorf("%s is not reserved", name)
		}
	}
	for _, name := range []string{"", "Connect", "connection", "message", "error"} {
		if Reserved(name) {
			t.Errorf("%s is reserved", name)
		}
	}
}
