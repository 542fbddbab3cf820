package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestEncode(t *testing.T) {
	shared := []byte("x")
	for name, tt := range map[string]struct {
		args        []any
		text        string
		attachments int
	}{
		"none":           {nil, "", 0},
		"plain":          {[]any{1, "a<b>&", nil, true, 1.5}, `[1,"a<b>&",null,true,1.5]`, 0},
		"struct":         {[]any{struct{ A int }{1}}, `[{"A":1}]`, 0},
		"raw":            {[]any{json.RawMessage(`{"b":1,"a":12345678901234567890}`)}, `[{"b":1,"a":12345678901234567890}]`, 0},
		"bytes":          {[]any{[]byte("x"), 1}, `[{"_placeholder":true,"num":0},1]`, 1},
		"bytes inside":   {[]any{map[string]any{"a": []any{shared, map[string]any{"b": shared}}}}, `[{"a":[{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}]}]`, 2},
		"empty bytes":    {[]any{[]byte{}}, `[{"_placeholder":true,"num":0}]`, 1},
		"nil containers": {[]any{map[string]any(nil), []any(nil)}, `[null,null]`, 0},
		"typed bytes":    {[]any{struct{ B []byte }{[]byte("x")}}, `[{"B":"eA=="}]`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			text, attachments, err := encode(tt.args)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, "text", text, tt.text)
			expect(t, "attachments", len(attachments), tt.attachments)
		})
	}
	loop := map[string]any{}
	loop["me"] = loop
	for name, arg := range map[string]any{"no JSON": math.NaN(), "a loop": loop, "a function": func() {}} {
		if _, _, err := encode([]any{arg}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestEncodeLeavesArgumentsAlone(t *testing.T) {
	arg := map[string]any{"a": []any{[]byte("x")}}
	if _, _, err := encode([]any{arg}); err != nil {
		t.Fatal(err)
	}
	if want := (map[string]any{"a": []any{[]byte("x")}}); !reflect.DeepEqual(arg, want) {
		t.Errorf("the argument is %v now", arg)
	}
}

func TestDecode(t *testing.T) {
	type file struct {
		Name string
		Data []byte
		Size int64
	}
	const held = `{"_placeholder":true,"num":0}`
	for name, tt := range map[string]struct {
		text string
		into func() any
		want any
	}{
		"text":            {`["x"]`, func() any { return new(string) }, "x"},
		"bytes":           {`[` + held + `]`, func() any { return new([]byte) }, []byte("bin")},
		"any":             {`[{"a":[` + held + `,1]}]`, func() any { return new(any) }, map[string]any{"a": []any{[]byte("bin"), 1.0}}},
		"map":             {`[{"a":` + held + `}]`, func() any { return new(map[string]any) }, map[string]any{"a": []byte("bin")}},
		"list":            {`[[` + held + `]]`, func() any { return new([]any) }, []any{[]byte("bin")}},
		"struct":          {`[{"name":"n","data":` + held + `,"size":9007199254740993}]`, func() any { return new(file) }, file{"n", []byte("bin"), 9007199254740993}},
		"no such number":  {`[{"_placeholder":true,"num":7}]`, func() any { return new(any) }, map[string]any{"_placeholder": true, "num": 7.0}},
		"no placeholder":  {`[{"_placeholder":false,"num":0}]`, func() any { return new(any) }, map[string]any{"_placeholder": false, "num": 0.0}},
		"fractional":      {`[{"_placeholder":true,"num":0.5}]`, func() any { return new(any) }, map[string]any{"_placeholder": true, "num": 0.5}},
		"further ignored": {`["x","y"]`, func() any { return new(string) }, "x"},
	} {
		t.Run(name, func(t *testing.T) {
			to := tt.into()
			if err := (Args{tt.text, [][]byte{[]byte("bin")}}).Decode(to); err != nil {
				t.Fatal(err)
			}
			if got := reflect.ValueOf(to).Elem().Interface(); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v, want %#v", got, tt.want)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	const held = `{"_placeholder":true,"num":0}`
	for name, tt := range map[string]struct {
		text  string
		into  []any
		index int
	}{
		"missing":          {`["x"]`, []any{new(string), new(string)}, 1},
		"none":             {``, []any{new(string)}, 0},
		"wrong type":       {`[1,"x"]`, []any{nil, new(int)}, 1},
		"bytes for a map":  {`[` + held + `]`, []any{new(map[string]any)}, 0},
		"bytes for a list": {`[` + held + `]`, []any{new([]any)}, 0},
		"bytes for a text": {`[{"a":` + held + `}]`, []any{new(struct{ A int })}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var e *ArgsError
			if err := (Args{tt.text, [][]byte{[]byte("bin")}}).Decode(tt.into...); !errors.As(err, &e) || e.Index != tt.index {
				t.Errorf("got %v, want an ArgsError for argument %d", err, tt.index)
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	for i := range memoryCount + 10 {
		m.put(outcome{id: fmt.Sprint(i)})
	}
	expect(t, "outcomes", m.next-m.first, memoryCount)
	if _, ok := m.get("9"); ok {
		t.Error("the oldest is still there")
	}
	if _, ok := m.get("10"); !ok {
		t.Error("one that is not the oldest is gone")
	}
	big, err := refuse("x", &Refusal{Message: string(make([]byte, 1<<20))})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		m.put(outcome{id: fmt.Sprint("big", i), request: big})
		m.put(outcome{id: fmt.Sprint("big", i), request: big}) // again
	}
	if m.bytes > memoryBytes || m.bytes < memoryBytes/2 {
		t.Errorf("%d bytes in %d outcomes, want at most %d bytes", m.bytes, m.next-m.first, memoryBytes)
	}
	if o, ok := m.get("big39"); !ok || o.request != big {
		t.Error("the latest is gone")
	}
	if _, ok := m.get("big0"); ok {
		t.Error("one that there was no room for is still there")
	}
}

// Whatever is put, and looked for at whatever times, what is found is the latest outcome of
// the last that were put.
func TestMemoryModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	var m memory
	var put []outcome
	latest := map[string]int{} // in put
	for range 5 * memoryCount {
		o := outcome{id: fmt.Sprint(r.IntN(3 * memoryCount)), last: r.IntN(2) == 0}
		latest[o.id] = len(put)
		put = append(put, o)
		m.put(o)
		if len(put)%memoryCount > 500 { // for long enough nothing is looked for
			continue
		}
		id := fmt.Sprint(r.IntN(3 * memoryCount))
		got, ok := m.get(id)
		n, known := latest[id]
		known = known && n >= len(put)-memoryCount
		if ok != known || known && got != put[n] {
			t.Fatalf("after %d: found %v %v, want %v", len(put), ok, got, known)
		}
	}
	if m.get("none"); m.index == nil {
		t.Error("no index after a search")
	}
	for i := range memoryCount + 1 {
		m.put(outcome{id: fmt.Sprint("more", i)})
	}
	if m.index != nil {
		t.Error("the index is kept though nobody searches")
	}
}
