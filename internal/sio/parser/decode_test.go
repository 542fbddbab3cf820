package parser

import (
	"errors"
	"strings"
	"testing"
)

func TestDecodeRefusals(t *testing.T) {
	deep := func(n int) string { return `2["a",` + strings.Repeat("[", n) + strings.Repeat("]", n) + "]" }
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
		{"id too large", `29007199254740992["a"]`, errID},
		{"id that overflows 64 bits", `218446744073709551617["a"]`, errID},
		{"disconnect with id", `11`, errID},
		{"ack without id", `3["a"]`, errID},
		{"connect with array", `0[1]`, errShape},
		{"event with object", `2{"a":1}`, errShape},
		{"reserved", `2["disconnect"]`, errReserved},
		{"reserved, escaped", `2["disconnec\u0074"]`, errReserved},
		{"number beyond a double", `2["a",1e999]`, nil},
		{"nested to the limit", deep(maxDepth - 1), nil},
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
	t.Run("nested too deeply", func(t *testing.T) {
		for _, text := range []string{deep(maxDepth), `2["a",` + strings.Repeat("[", 1_900_000), `0` + strings.Repeat(`{"a":`, 300_000)} {
			_, err := NewDecoder(Limits{}).Text([]byte(text))
			if err == nil || !strings.Contains(err.Error(), "deeper") {
				t.Errorf("got %v", err)
			}
		}
	})
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
		if d.Waiting() {
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
	if d.Waiting() {
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
	if !d.Waiting() {
		t.Error("does not wait for its attachment")
	}
	if _, err := d.Text([]byte(`2["b"]`)); !errors.Is(err, errInterleaved) {
		t.Errorf("text while waiting: %v", err)
	}
	if d.Waiting() {
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
			if event != tt.event || string(args) != tt.argsJSON {
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
		if name, args := p.Event(); name != "" || args != nil {
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
