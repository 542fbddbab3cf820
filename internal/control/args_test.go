package control

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

func TestAppendValue(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"null", nil, `null`},
		{"true", true, `true`},
		{"false", false, `false`},
		{"zero", 0.0, `0`},
		{"minus zero", math.Copysign(0, -1), `0`},
		{"an integer", 42, `42`},
		{"the largest exact integer", 1 << 53, `9007199254740992`},
		{"a fraction", -0.1, `-0.1`},
		{"the last without exponent", 123456789012345680000.0, `123456789012345680000`},
		{"the first with exponent", 1e21, `1e+21`},
		{"the smallest without exponent", 1e-6, `0.000001`},
		{"small", 1e-7, `1e-7`},
		{"smaller", 1.5e-10, `1.5e-10`},
		{"the largest", math.MaxFloat64, `1.7976931348623157e+308`},
		{"the smallest", 5e-324, `5e-324`},
		{"no text", "", `""`},
		{"text", "héllo \u2028 <b>", "\"héllo \u2028 <b>\""},
		{"escapes", "\"a\\b\"\n\x00", `"\"a\\b\"\n\u0000"`},
		{"an empty list", []any{}, `[]`},
		{"a list", []any{1, "a", []any{nil}}, `[1,"a",[null]]`},
		{"an empty object", map[string]any{}, `{}`},
		{"an object, sorted", map[string]any{"b": 1, "a": map[string]any{"\"": true}, "": 0}, `{"":0,"a":{"\"":true},"b":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := structpb.NewValue(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := appendValue(nil, v)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
			if !json.Valid(got) {
				t.Errorf("%s is not JSON", got)
			}
		})
	}
}

func TestAppendValueNests(t *testing.T) {
	v := structpb.NewNullValue()
	const depth = 5000
	for range depth {
		v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
	}
	got, err := appendValue(nil, v)
	if want := strings.Repeat("[", depth) + "null" + strings.Repeat("]", depth); err != nil || string(got) != want {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

// Text nests as deep as it likes: the stock client and backends send it as deep.
func TestArgsJSONNests(t *testing.T) {
	for _, depth := range []int{600, 2000, 10_001, 50_000} {
		text := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		for _, attachments := range []int{0, 1} {
			var p problems
			got := toArgs(&p, &fanoutv1.EmitRequest{ArgsJson: text, Attachments: make([][]byte, attachments)})
			if len(p.list) > 0 || string(got) != text {
				t.Errorf("%d levels, %d attachments: %v", depth, attachments, p.list)
			}
		}
	}
}
