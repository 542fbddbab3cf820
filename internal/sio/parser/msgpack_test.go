package parser

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

type recording struct {
	Name    string
	Msgpack string
	JSON    []any // messages as in reference.json
}

func (r recording) message(tb testing.TB) []byte {
	tb.Helper()
	b, err := base64.StdEncoding.DecodeString(r.Msgpack)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func loadMessagePack(tb testing.TB) (all []recording) {
	tb.Helper()
	text, err := os.ReadFile("testdata/msgpack.json")
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		tb.Fatal(err)
	}
	if len(all) < 30 {
		tb.Fatalf("only %d recorded packets", len(all))
	}
	return all
}

// samePacket compares packets: what JSON.stringify would write is the same.
func samePacket(t *testing.T, got, want *Packet) {
	t.Helper()
	if got.Type != want.Type || got.Namespace != want.Namespace || got.ID != want.ID || got.HasID != want.HasID {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if string(got.Data) != string(want.Data) {
		t.Errorf("data\n%s, want\n%s", got.Data, want.Data)
	}
	if len(got.Attachments) != len(want.Attachments) {
		t.Fatalf("%d attachments, want %d", len(got.Attachments), len(want.Attachments))
	}
	for i := range got.Attachments {
		if !bytes.Equal(got.Attachments[i], want.Attachments[i]) {
			t.Errorf("attachment %d is %v, want %v", i, got.Attachments[i], want.Attachments[i])
		}
	}
}

// What the stock client says in MessagePack is what it would have said in JSON,
// to the letter.
func TestUnpackAgainstReference(t *testing.T) {
	for _, r := range loadMessagePack(t) {
		t.Run(r.Name, func(t *testing.T) {
			d := NewDecoder(Limits{})
			var want *Packet
			var err error
			for _, m := range r.JSON {
				if text, b := message(t, m); b != nil {
					want, err = d.Binary(b)
				} else {
					want, err = d.Text([]byte(text))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			d = NewDecoder(Limits{})
			got, err := d.Binary(r.message(t))
			if err != nil || got == nil {
				t.Fatalf("got %v, %v", got, err)
			}
			if d.Encoding() != MessagePack {
				t.Error("the encoding was not told from the first message")
			}
			samePacket(t, got, want)
			// And back.
			packed, err := AppendMessagePack(nil, got)
			if err != nil {
				t.Fatal(err)
			}
			again, err := d.Binary(packed)
			if err != nil {
				t.Fatal(err)
			}
			samePacket(t, again, got)
		})
	}
}

// pack makes a packet of members: name, value in MessagePack, ...
func pack(members ...any) []byte {
	b := msgp.AppendMapHeader(nil, uint32(len(members)/2))
	for i, m := range members {
		switch m := m.(type) {
		case string:
			b = msgp.AppendString(b, m)
		case int:
			b = msgp.AppendInt(b, m)
		case []byte:
			b = append(b, m...)
		default:
			panic(i)
		}
	}
	return b
}

func TestUnpack(t *testing.T) {
	ev := func(args ...byte) []byte {
		return pack("type", 2, "nsp", "/", "data", append([]byte{0x92, 0xa1, 'a'}, args...))
	}
	undefined := []byte{0xd4, 0, 0}
	long := bytes.Repeat([]byte{0}, 70000)
	tests := []struct {
		name string
		in   []byte
		data string
		att  []string
	}{
		{"members in any order", pack("data", []byte{0x91, 0xa1, 'a'}, "nsp", "/", "type", 2), `["a"]`, nil},
		{"undefined id and options", pack("type", 2, "nsp", "/", "data", []byte{0x91, 0xa1, 'a'}, "id", undefined, "options", undefined), `["a"]`, nil},
		{"members that mean nothing", pack("x", []byte{0x93, 0xc4, 1, 1, 0x80, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0}, "type", 2, "nsp", "/", "data", []byte{0x91, 0xa1, 'a'}), `["a"]`, nil},
		{"integers of 64 bits", ev(0x92, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0), `["a",[18446744073709551615,-9223372036854775808]]`, nil},
		{"float32", ev(0xca, 0x3f, 0x80, 0, 0), `["a",1]`, nil},
		{"bytes that are no UTF-8", ev(0xa3, 0xed, 0xa0, 0x80), `["a","���"]`, nil},
		{"extension of another type", ev(0xd6, 5, 1, 2, 3, 4), `["a",[5,{"_placeholder":true,"num":0}]]`, []string{"\x01\x02\x03\x04"}},
		{"the library's own types are extensions", ev(0x92, 0xd7, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 0xd7, 3, 1, 2, 3, 4, 5, 6, 7, 8), `["a",[[-1,{"_placeholder":true,"num":0}],[3,{"_placeholder":true,"num":1}]]]`, []string{"\x01\x02\x03\x04\x05\x06\x07\x08", "\x01\x02\x03\x04\x05\x06\x07\x08"}},
		{"extensions of type 0 and other sizes", ev(0x92, 0xd5, 0, 1, 2, 0xc7, 0, 0), `["a",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]]`, []string{"\x01\x02", ""}},
		{"long extension", ev(append([]byte{0xc9, 0, 1, 0x11, 0x70, 0}, long...)...), `["a",{"_placeholder":true,"num":0}]`, []string{string(long)}},
		{"long array", ev(append([]byte{0xdd, 0, 1, 0x11, 0x70}, long...)...), `["a",[0` + strings.Repeat(",0", len(long)-1) + `]]`, nil},
		{"a date beyond dates", ev(0xd7, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), `["a",null]`, nil},
		{"all members undefined", ev(0x81, 0xa1, 'x', 0xd4, 0, 0), `["a",{}]`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewDecoder(Limits{}).Binary(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			var att []string
			for _, a := range p.Attachments {
				att = append(att, string(a))
			}
			if string(p.Data) != tt.data || !reflect.DeepEqual(att, tt.att) {
				t.Errorf("got %.100s %.100q, want %.100s %.100q", p.Data, att, tt.data, tt.att)
			}
		})
	}
}

// Nesting has no limit but the message's, in both directions.
func TestMessagePackNesting(t *testing.T) {
	for _, n := range []int{1, 64, 65, 600, 2000, 50_000} {
		for _, level := range []struct {
			packed      []byte
			begin, end  string // in JSON
			packedAfter string
		}{
			{[]byte{0x91}, "[", "]", ""},
			{[]byte{0x92, 0x01}, "[1,", "]", ""},
			{[]byte{0x92}, "[", ",2]", "\x02"},
			{[]byte{0x81, 0xa1, 'k'}, `{"k":`, "}", ""},
		} {
			n := min(n, 900_000/(len(level.begin)+len(level.end)))
			in := append(bytes.Repeat(level.packed, n), 0xc0)
			in = pack("type", 2, "nsp", "/", "data", append([]byte{0x92, 0xa1, 'a'}, append(in, strings.Repeat(level.packedAfter, n)...)...))
			text := `["a",` + strings.Repeat(level.begin, n) + "null" + strings.Repeat(level.end, n) + "]"
			p, err := NewDecoder(Limits{}).Binary(in)
			if err != nil {
				t.Fatalf("%d levels of %s: %v", n, level.begin, err)
			}
			if string(p.Data) != text {
				t.Errorf("%d levels of %s: got %.100s", n, level.begin, p.Data)
			}
			out, err := AppendMessagePack(nil, p)
			if err != nil {
				t.Fatalf("%d levels of %s: %v", n, level.begin, err)
			}
			again, err := NewDecoder(Limits{}).Binary(out)
			if err != nil || string(again.Data) != text {
				t.Errorf("%d levels of %s: came back as %.100s, %v", n, level.begin, again.Data, err)
			}
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	a := []byte{0x91, 0xa1, 'a'}
	ev := func(args ...byte) []byte {
		return pack("type", 2, "nsp", "/", "data", append([]byte{0x92, 0xa1, 'a'}, args...))
	}
	bins := bytes.Repeat([]byte{0xc4, 0}, 11)
	for name, in := range map[string][]byte{
		"nothing":                          {},
		"no map":                           {0x93},
		"map that ends":                    {0x83},
		"a key that is no string":          {0x81, 0x01, 0x02},
		"no type":                          pack("nsp", "/", "data", a),
		"no namespace":                     pack("type", 2, "data", a),
		"type twice":                       pack("type", 2, "type", 2, "nsp", "/", "data", a),
		"type of binary events":            pack("type", 5, "nsp", "/", "data", a),
		"negative type":                    pack("type", -1, "nsp", "/", "data", a),
		"huge type":                        pack("type", 258, "nsp", "/", "data", a),
		"type undefined":                   pack("type", []byte{0xd4, 0, 0}, "nsp", "/", "data", a),
		"type a string":                    pack("type", "2", "nsp", "/", "data", a),
		"namespace a number":               pack("type", 2, "nsp", 1, "data", a),
		"namespace no UTF-8":               pack("type", 2, "nsp", "/\xff", "data", a),
		"negative id":                      pack("type", 2, "nsp", "/", "data", a, "id", -1),
		"id beyond exact numbers":          pack("type", 2, "nsp", "/", "data", a, "id", 1<<53),
		"id where none belongs":            pack("type", 0, "nsp", "/", "id", 1),
		"acknowledgement without id":       pack("type", 3, "nsp", "/", "data", a),
		"event without data":               pack("type", 2, "nsp", "/"),
		"event without name":               pack("type", 2, "nsp", "/", "data", []byte{0x90}),
		"reserved event":                   pack("type", 2, "nsp", "/", "data", []byte{0x91, 0xa7, 'c', 'o', 'n', 'n', 'e', 'c', 't'}),
		"connect with null":                pack("type", 0, "nsp", "/", "data", []byte{0xc0}),
		"connect with a buffer":            pack("type", 0, "nsp", "/", "data", []byte{0x81, 0xa1, 'x', 0xc4, 1, 1}),
		"disconnect with data":             pack("type", 1, "nsp", "/", "data", a),
		"trailing bytes":                   append(pack("type", 2, "nsp", "/", "data", a), 0xc0),
		"eleven buffers":                   ev(append([]byte{0x9b}, bins...)...),
		"eleven buffers in another member": pack("type", 2, "nsp", "/", "data", a, "x", append([]byte{0x9b}, bins...)),
		"array longer than the message":    ev(0xdd, 0xff, 0xff, 0xff, 0xff),
		"map longer than the message":      ev(0xdf, 0xff, 0xff, 0xff, 0xff),
		"string longer than the message":   ev(0xdb, 0xff, 0xff, 0xff, 0xff),
		"buffer longer than the message":   ev(0xc6, 0xff, 0xff, 0xff, 0xff),
		"extension longer than the rest":   ev(0xc9, 0xff, 0xff, 0xff, 0xff, 0),
		"extension that ends":              ev(0xd7, 0),
		"undefined that ends":              ev(0xd4, 0),
		"unused format":                    ev(0xc1),
		"nests, and ends too soon":         ev(bytes.Repeat([]byte{0x91}, 900_000)...),
		"nests longer than the message":    ev(bytes.Repeat([]byte{0xdd, 0, 0, 0, 9}, 100_000)...),
		"placeholder of nothing":           ev(0x92, 0xc4, 0, 0x82, 0xac, '_', 'p', 'l', 'a', 'c', 'e', 'h', 'o', 'l', 'd', 'e', 'r', 0xc3, 0xa3, 'n', 'u', 'm', 1),
	} {
		if p, err := NewDecoder(Limits{}).Binary(in); err == nil {
			t.Errorf("%s: accepted %s", name, p.Data)
		}
	}
	t.Run("message too large", func(t *testing.T) {
		in := ev(append([]byte{0xd9, 200}, bytes.Repeat([]byte{'x'}, 200)...)...)
		if _, err := NewDecoder(Limits{MaxBytes: 200}).Binary(in); !errors.Is(err, errTooLarge) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("text too large", func(t *testing.T) {
		in := ev(append([]byte{0xd9, 150}, bytes.Repeat([]byte{1}, 150)...)...) // six bytes each in JSON
		if _, err := NewDecoder(Limits{MaxBytes: 200}).Binary(in); !errors.Is(err, errTooLarge) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("text afterwards", func(t *testing.T) {
		d := NewDecoder(Limits{})
		if _, err := d.Binary(pack("type", 2, "nsp", "/", "data", a)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Text([]byte(`2["a"]`)); !errors.Is(err, errMixed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAppendMessagePack(t *testing.T) {
	tests := []struct {
		name string
		data string
		att  [][]byte
		want any // of the data, as msgp reads it
	}{
		{"words", ` [ "a" , null,true , false] `, nil, []any{"a", nil, true, false}},
		{"integers", `["a",0,-1,9007199254740993,18446744073709551615,-9223372036854775808]`, nil, []any{"a", int64(0), int64(-1), int64(9007199254740993), uint64(18446744073709551615), int64(-9223372036854775808)}},
		{"other numbers", `["a",1.5,1e3,18446744073709551616,1e999]`, nil, []any{"a", 1.5, 1e3, 18446744073709551616.0, math.Inf(1)}},
		{"strings", `["a","\u00e9\ud83d\ude00\n\"",""]`, nil, []any{"a", "é😀\n\"", ""}},
		{"containers", `["a",{},[],{"b":{"c":[1,[]]},"d":2}]`, nil, []any{"a", map[string]any{}, []any{}, map[string]any{"b": map[string]any{"c": []any{int64(1), []any{}}}, "d": int64(2)}}},
		{"attachments", `["a",{"_placeholder":true,"num":1},{"b":{"num":0,"_placeholder":true}},1]`, [][]byte{{1}, {2, 3}}, []any{"a", []byte{2, 3}, map[string]any{"b": []byte{1}}, int64(1)}},
		{"placeholders with more members", `["a",[{"x":[{"_placeholder":true,"num":9},{"y":"}"}], "_placeholder":true , "num":1.0,"z":{}} , {"b":[]}]]`, [][]byte{{1}, {2, 3}}, []any{"a", []any{[]byte{2, 3}, map[string]any{"b": []any{}}}}},
		{"attachments without placeholders", `["a",1]`, [][]byte{{1}}, []any{"a", int64(1)}},
		{"no attachments", `["a",{"_placeholder":true,"num":1}]`, nil, []any{"a", map[string]any{"_placeholder": true, "num": int64(1)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := AppendMessagePack(nil, &Packet{Type: Event, Namespace: "/chat", ID: 7, HasID: true, Data: []byte(tt.data), Attachments: tt.att})
			if err != nil {
				t.Fatal(err)
			}
			v, rest, err := msgp.ReadIntfBytes(b)
			if err != nil || len(rest) > 0 {
				t.Fatalf("%x: %v, %d bytes left", b, err, len(rest))
			}
			want := map[string]any{"type": int64(2), "nsp": "/chat", "id": int64(7), "data": tt.want}
			if !reflect.DeepEqual(v, want) {
				t.Errorf("got %#v, want %#v", v, want)
			}
		})
	}
	for _, data := range []string{`[`, `["a",{"_placeholder":true,"num":1}]`, strings.Repeat("[", 600) + strings.Repeat("]", 599)} {
		if _, err := AppendMessagePack(nil, &Packet{Type: Event, Namespace: "/", Data: []byte(data), Attachments: [][]byte{{1}}}); err == nil {
			t.Errorf("%.50s: packed", data)
		}
	}
}

// FuzzMessagePack holds the decoder to what its callers rely on, and the encoder
// to giving back what was decoded.
func FuzzMessagePack(f *testing.F) {
	for _, r := range loadMessagePack(f) {
		f.Add(r.message(f))
	}
	for _, c := range loadReference(f).Encode {
		d := NewDecoder(Limits{})
		p, err := d.Text([]byte(c.Text))
		for _, m := range c.Attachments {
			_, b := message(f, m)
			p, err = d.Binary(b)
		}
		if err != nil {
			f.Fatal(err)
		}
		packed, err := AppendMessagePack(nil, p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := NewDecoder(Limits{MaxBytes: 1 << 16}).Binary(bytes.Clone(in))
		if (p == nil) == (err == nil) {
			t.Fatalf("packet %v and error %v", p, err)
		}
		if err != nil {
			return
		}
		if p.Data != nil && !json.Valid(p.Data) {
			t.Fatalf("made invalid JSON %q", p.Data)
		}
		size := len(p.Data)
		for _, a := range p.Attachments {
			size += len(a)
		}
		if size > 1<<16 {
			t.Fatalf("made %d bytes", size)
		}
		// A client that speaks JSON could have sent it, but for the namespace.
		p.Namespace = "/"
		decodeAgain(t, p, AppendText(nil, p))
		packed, err := AppendMessagePack(nil, p)
		if err != nil {
			t.Fatalf("%s does not go back: %v", p.Data, err)
		}
		again, err := NewDecoder(Limits{MaxBytes: 1 << 17}).Binary(packed)
		if err != nil {
			t.Fatalf("%s went out as %x: %v", p.Data, packed, err)
		}
		samePacket(t, again, p)
	})
}
