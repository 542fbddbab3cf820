package parser

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// stricter names the inputs the reference accepts and we refuse, each with the
// reason. Whatever is not listed must come out the same.
var stricter = map[string]string{
	"connect with an id":                   "an id means nothing there",
	"event with an id of 400 digits":       "the reference reads infinity",
	"event with a blank before its data":   "the reference reads the blank as id 0",
	"event without data":                   "an event has a name",
	"event with id, without data":          "an event has a name",
	"ack without id":                       "acks nothing",
	"ack without data":                     "an ack has an array",
	"connect error without data":           "has a reason",
	"blank":                                "the reference reads it as CONNECT",
	"empty":                                "the reference reads it as CONNECT",
	"binary event, number fractional":      "the reference yields undefined",
	"binary event, count with an exponent": "not a count",
	"binary event, count in hexadecimal":   "not a count",
	"binary event, count only":             "an event has a name",
}

type reference struct {
	Decode []struct {
		Name     string
		Messages []any
		Packets  []referencePacket
		Refused  bool
	}
	Encode []struct {
		Name        string
		Packet      referencePacket
		Text        string
		Attachments []any
	}
}

type referencePacket struct {
	Type Type
	Nsp  string
	ID   *uint64
	Data json.RawMessage
}

func loadReference(tb testing.TB) reference {
	tb.Helper()
	text, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		tb.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(text, &r); err != nil {
		tb.Fatal(err)
	}
	return r
}

// message is a recorded message: text, or {"binary": base64}.
func message(tb testing.TB, m any) (text string, binary []byte) {
	tb.Helper()
	if text, ok := m.(string); ok {
		return text, nil
	}
	b, err := base64.StdEncoding.DecodeString(m.(map[string]any)["binary"].(string))
	if err != nil {
		tb.Fatal(err)
	}
	return "", b
}

func TestDecodeAgainstReference(t *testing.T) {
	r := loadReference(t)
	if len(r.Decode) < 80 {
		t.Fatalf("only %d recorded inputs", len(r.Decode))
	}
	seen := 0
	for _, c := range r.Decode {
		t.Run(c.Name, func(t *testing.T) {
			d := NewDecoder(Limits{})
			var packets []*Packet
			var refused error
			for _, m := range c.Messages {
				var p *Packet
				var err error
				if text, b := message(t, m); b != nil {
					p, err = d.Binary(b)
				} else {
					p, err = d.Text([]byte(text))
				}
				if refused = err; err != nil {
					break
				}
				if p != nil {
					packets = append(packets, p)
				}
			}
			if _, ok := stricter[c.Name]; ok {
				seen++
				if c.Refused || refused == nil {
					t.Fatalf("listed as stricter, but reference refused %v, we refused %v", c.Refused, refused)
				}
				return
			}
			if c.Refused != (refused != nil) {
				t.Fatalf("reference refused %v, we refused: %v", c.Refused, refused)
			}
			if len(packets) != len(c.Packets) {
				t.Fatalf("got %d packets, want %d", len(packets), len(c.Packets))
			}
			for i, want := range c.Packets {
				comparePacket(t, packets[i], want)
			}
		})
	}
	if seen != len(stricter) {
		t.Errorf("%d of %d stricter cases are recorded", seen, len(stricter))
	}
}

func comparePacket(t *testing.T, got *Packet, want referencePacket) {
	t.Helper()
	if got.Type != want.Type || got.Namespace != want.Nsp {
		t.Errorf("got type %d of %q, want %d of %q", got.Type, got.Namespace, want.Type, want.Nsp)
	}
	if got.HasID != (want.ID != nil) || got.HasID && got.ID != *want.ID {
		t.Errorf("got id %d (%v), want %v", got.ID, got.HasID, want.ID)
	}
	if (got.Data == nil) != (want.Data == nil) {
		t.Fatalf("got data %s, want %s", got.Data, want.Data)
	}
	if want.Data == nil {
		return
	}
	if g, w := fill(decodeJSON(t, got.Data), got.Attachments), decodeJSON(t, want.Data); !reflect.DeepEqual(g, w) {
		t.Errorf("got data %v, want %v", g, w)
	}
}

func decodeJSON(tb testing.TB, text []byte) any {
	tb.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

// fill puts attachments where their placeholders are, in the recording's form.
func fill(v any, attachments [][]byte) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = fill(v[i], attachments)
		}
	case map[string]any:
		if v["_placeholder"] == true && len(attachments) > 0 {
			b := attachments[int(v["num"].(float64))]
			return map[string]any{"binary": base64.StdEncoding.EncodeToString(b)}
		}
		for k := range v {
			v[k] = fill(v[k], attachments)
		}
	}
	return v
}

// TestEncodeAgainstReference decodes what the reference encoded and encodes it
// again: the bytes must be the same, by way of the whole data and, for events,
// by way of name and arguments.
func TestEncodeAgainstReference(t *testing.T) {
	r := loadReference(t)
	if len(r.Encode) < 15 {
		t.Fatalf("only %d recorded packets", len(r.Encode))
	}
	for _, c := range r.Encode {
		t.Run(c.Name, func(t *testing.T) {
			d := NewDecoder(Limits{})
			p, err := d.Text([]byte(c.Text))
			for _, m := range c.Attachments {
				if p != nil || err != nil {
					t.Fatalf("done before its attachments: %v", err)
				}
				_, b := message(t, m)
				p, err = d.Binary(b)
			}
			if err != nil || p == nil {
				t.Fatalf("decode %s: %v, %v", c.Text, p, err)
			}
			comparePacket(t, p, c.Packet)
			if got := AppendText(nil, p); string(got) != c.Text {
				t.Errorf("AppendText = %s, want %s", got, c.Text)
			}
			if p.Type != Event {
				return
			}
			name, args := p.Event()
			if got := AppendEvent(nil, p, name, []byte(args)); !bytes.Equal(got, []byte(c.Text)) {
				t.Errorf("AppendEvent = %s, want %s", got, c.Text)
			}
		})
	}
}
