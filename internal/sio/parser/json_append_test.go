package parser

import (
	"encoding/json"
	"math"
	"testing"
)

func TestAppendString(t *testing.T) {
	for s, want := range map[string]string{
		"":                        `""`,
		"a":                       `"a"`,
		"\"\\":                    `"\"\\"`,
		"\b\t\n\f\r":              `"\b\t\n\f\r"`,
		"\x00\v\x1f\x7f":          "\"\\u0000\\u000b\\u001f\x7f\"",
		"h\u00e9llo\u2028<b>\n":   "\"h\u00e9llo\u2028<b>\\n\"",
		"a\xffb\xc3":              "\"a\ufffdb\ufffd\"",
		"\ufffd\U0001f600 a\"b\"": "\"\ufffd\U0001f600 a\\\"b\\\"\"",
	} {
		if got := string(AppendString(nil, s)); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestAppendNumber(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1.5: "-1.5", 1e20: "100000000000000000000", 1e21: "1e+21", 1e-6: "0.000001", 1e-7: "1e-7", -1.5e-10: "-1.5e-10", 5e-324: "5e-324",
		math.Inf(1): "null", math.Inf(-1): "null",
	} {
		if got := string(AppendNumber(nil, f)); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
	for f, want := range map[float64]string{math.NaN(): "null", math.Copysign(0, -1): "0"} {
		if got := string(AppendNumber(nil, f)); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
}

// FuzzAppendString compares with what encoding/json reads back.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\n\x1f\x7f", "\u00e9\u2028\U0001F600", "a\xffb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(AppendString(nil, s), &back); err != nil || back != string([]rune(s)) {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
	})
}
