package parser

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"
)

// FuzzDecoder feeds a message, and attachments where they are asked for, and
// holds the decoder to what its callers rely on.
func FuzzDecoder(f *testing.F) {
	r := loadReference(f)
	for _, c := range r.Encode {
		f.Add([]byte(c.Text), []byte("attachment"))
	}
	for _, c := range r.Decode {
		for _, m := range c.Messages {
			if text, b := message(f, m); b == nil {
				f.Add([]byte(text), []byte{})
			}
		}
	}
	f.Fuzz(func(t *testing.T, text, attachment []byte) {
		d := NewDecoder(Limits{MaxBytes: 1 << 16})
		p, err := d.Text(bytes.Clone(text))
		for range MaxAttachments {
			if !d.waiting() {
				break
			}
			if p != nil || err != nil {
				t.Fatalf("waits with packet %v, error %v", p, err)
			}
			p, err = d.Binary(attachment)
		}
		if d.waiting() {
			t.Fatal("waits for more attachments than a packet may have")
		}
		if (p == nil) == (err == nil) {
			t.Fatalf("packet %v and error %v", p, err)
		}
		if err != nil {
			return
		}
		if p.Data != nil && !json.Valid(p.Data) {
			t.Fatalf("accepted invalid JSON %q", p.Data)
		}
		again := decodeAgain(t, p, AppendText(nil, p))
		if !bytes.Equal(again.Data, p.Data) {
			t.Errorf("data %s came back as %s", p.Data, again.Data)
		}
		if p.Type == Event {
			checkEvent(t, p)
		}
	})
}

// decodeAgain decodes text, the encoding of p, and compares all but the data.
func decodeAgain(t *testing.T, p *Packet, text []byte) *Packet {
	t.Helper()
	d := NewDecoder(Limits{})
	again, err := d.Text(text)
	for _, a := range p.Attachments {
		again, err = d.Binary(a)
	}
	if err != nil || again == nil {
		t.Fatalf("%+v encoded as %q decodes as %v, %v", p, text, again, err)
	}
	if again.Type != p.Type || again.Namespace != p.Namespace || again.ID != p.ID || again.HasID != p.HasID ||
		len(again.Attachments) != len(p.Attachments) {
		t.Fatalf("%+v encoded as %q comes back as %+v", p, text, again)
	}
	return again
}

// checkEvent takes an event apart and puts it together again.
func checkEvent(t *testing.T, p *Packet) {
	t.Helper()
	name, args := p.Event()
	if Reserved(name) || !utf8.ValidString(name) {
		t.Fatalf("%s: accepted the event name %q", p.Data, name)
	}
	var rest []json.RawMessage
	if err := json.Unmarshal([]byte(args), &rest); err != nil {
		t.Fatalf("%s: arguments %s: %v", p.Data, args, err)
	}
	if len(p.Attachments) == 0 {
		p = &Packet{Type: Event, Namespace: p.Namespace, ID: p.ID, HasID: p.HasID}
	}
	again := decodeAgain(t, p, AppendEvent(nil, p, name, []byte(args)))
	if n, a := again.Event(); n != name || a != args {
		t.Errorf("%q %s came back as %q %s", name, args, n, a)
	}
}

// FuzzCheckArgs compares the scanner with encoding/json, and checks that what
// it accepts makes a packet that the decoder accepts.
func FuzzCheckArgs(f *testing.F) {
	for _, args := range []string{``, `[]`, ` [1, -2.5e+3, "\u00e9\ud83d\ude00", {"a": [true, false, null]}] `, `{}`, `[01]`, `["\x"]`, `[`} {
		f.Add([]byte(args), 0)
	}
	f.Add([]byte(`[{"_placeholder":true,"num":0},[{"num":1,"_placeholder":true}]]`), 2)
	f.Fuzz(func(t *testing.T, args []byte, attachments int) {
		err := CheckArgs(args, attachments)
		if err != nil {
			var e *ArgsError
			if !errors.As(err, &e) || e.Msg == "" || e.Field != "args" && e.Field != "attachments" {
				t.Fatalf("error %#v", err)
			}
			if attachments == 0 && !bytes.Contains(args, []byte("laceholder")) && !bytes.Contains(args, []byte(`\`)) &&
				utf8.Valid(args) && json.Valid(args) && len(args) <= 10_000 /* encoding/json takes no deeper nesting */ &&
				bytes.HasPrefix(bytes.TrimLeft(args, jsonSpace), []byte("[")) {
				t.Fatalf("refused %q: %v", args, err)
			}
			return
		}
		if len(args) > 0 && !json.Valid(args) {
			t.Fatalf("accepted %q", args)
		}
		if attachments < 0 || len(args) > 1<<19 {
			return
		}
		p := &Packet{Type: Event, Namespace: "/", Attachments: make([][]byte, attachments)}
		decodeAgain(t, p, AppendEvent(nil, p, "a", args))
	})
}
