package parser

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckArgs(t *testing.T) {
	const ph0, ph1 = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`
	tests := []struct {
		name        string
		args        string
		attachments int
		field, msg  string // of the error; no field: accepted
	}{
		{"none", ``, 0, "", ""},
		{"empty", `[]`, 0, "", ""},
		{"blanks", " [ 1 ] \n", 0, "", ""},
		{"large integers, any order", `[{"z":123456789012345678901234567890,"a":1e999}]`, 0, "", ""},
		{"one attachment", `[` + ph0 + `]`, 1, "", ""},
		{"used twice, nested", `[{"a":[` + ph0 + `]},` + ph0 + `,` + ph1 + `]`, 2, "", ""},
		{"not a placeholder", `[{"_placeholder":false,"num":4,"x":1}]`, 0, "", ""},
		{"nested", strings.Repeat("[", 500_000) + strings.Repeat("]", 500_000), 0, "", ""},
		{"attachments that nobody refers to", `[` + ph0 + `]`, 2, "", ""},
		{"no arguments but an attachment", ``, 1, "", ""},
		{"looks like a placeholder", `[` + ph1 + `,{"_placeholder":true}]`, 0, "", ""},
		{"a placeholder with more members", `[{"_placeholder":true,"num":0,"x":1}]`, 1, "", ""},
		{"not a placeholder but a string", `["_placeholder",{"num":1}]`, 0, "", ""},

		{"an object", `{}`, 0, "args", "not a JSON array"},
		{"a string", `"a"`, 0, "args", "not a JSON array"},
		{"blank", ` `, 0, "args", "ends too soon"},
		{"unfinished", `[1,`, 0, "args", "ends too soon"},
		{"broken", `[1,}`, 0, "args", "at byte 3"},
		{"two values", `[][]`, 0, "args", "at byte 2"},
		{"single quotes", `['a']`, 0, "args", "at byte 1"},
		{"NaN", `[NaN]`, 0, "args", "invalid JSON"},
		{"not UTF-8", "[\"\xc3\x28\"]", 0, "args", "UTF-8"},

		{"eleven", `[]`, 11, "attachments", "at most 10"},
		{"number too large", `[` + ph0 + `,` + ph1 + `]`, 1, "args", "none of the 1 attachments"},
		{"number huge", `[{"_placeholder":true,"num":9007199254740991}]`, 1, "args", "none of the 1 attachments"},
		{"number beyond exact", `[{"_placeholder":true,"num":99999999999999999999}]`, 1, "args", "none of"},
		{"number negative", `[{"_placeholder":true,"num":-1}]`, 1, "args", "needs"},
		{"number fractional", `[{"_placeholder":true,"num":0.5}]`, 1, "args", "needs"},
		{"number a string", `[{"_placeholder":true,"num":"0"}]`, 1, "args", "needs"},
		{"number missing", `[{"_placeholder":true}]`, 1, "args", "needs"},
		{"escaped key", `[{"\u005fplaceholder":true,"num":1}]`, 1, "args", "none of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckArgs([]byte(tt.args), tt.attachments)
			if tt.field == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var ae *ArgsError
			if !errors.As(err, &ae) {
				t.Fatalf("got %v, want an *ArgsError", err)
			}
			if ae.Field != tt.field || !strings.Contains(ae.Msg, tt.msg) {
				t.Errorf("got %s: %s, want %s: …%s…", ae.Field, ae.Msg, tt.field, tt.msg)
			}
		})
	}
}
