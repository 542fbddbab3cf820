package httpserver

import (
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// violation is the field at fault by err's detail, and what is wrong with it: "field: why".
func violation(err error) string {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok && len(bad.GetFieldViolations()) == 1 {
			v := bad.GetFieldViolations()[0]
			return v.GetField() + ": " + v.GetDescription()
		}
	}
	return ""
}

// What cannot be read names the field, wherever JSON says what is meant.
func TestFieldAtFault(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		into       proto.Message
		want, says string // of the detail; of the message
	}{
		{"an enum", `{"event":"e","wait":"SOON"}`, &fanoutv1.EmitRequest{}, `wait: invalid value for enum field wait: "SOON"`, "(line 1:21)"},
		{"base64", `{"attachments":["AA==","?"]}`, &fanoutv1.EmitRequest{}, `attachments[1]: invalid value for bytes field attachments: "?"`, ""},
		{"a duration", `{"event":"e","timeout":"soon"}`, &fanoutv1.CallRequest{}, `timeout: invalid google.protobuf.Duration value "soon"`, ""},
		{"a timestamp", `{"expireAt":"soon"}`, &fanoutv1.UpdateConnectionRequest{}, `expireAt: invalid google.protobuf.Timestamp value "soon"`, ""},
		{"a type", `{"event":7}`, &fanoutv1.EmitRequest{}, `event: invalid value for string field event: 7`, ""},
		{"a list for a message", `{"to":[]}`, &fanoutv1.EmitRequest{}, `to: unexpected token [`, ""},
		{"text for a list", `{"to":{"all":true,"except":"r"}}`, &fanoutv1.EmitRequest{}, `to.except: unexpected token "r"`, "syntax error (line 1:28)"},
		{"within", "{\n \"emits\": [{}, {\"to\": {\"rooms\": [\"ä\", 7]}}]}", &fanoutv1.EmitBatchRequest{}, `emits[1].to.rooms[1]: invalid value for string field rooms: 7`, "(line 2:39)"},
		{"an unknown field", `{"to":{"al":true}}`, &fanoutv1.EmitRequest{}, "to.al: there is no such field", `unknown field "al"`},
		{"a field twice", `{"event":"e","event":"f"}`, &fanoutv1.EmitRequest{}, `event: duplicate field "event"`, ""},
		{"half a pair at the end", `{"event":"\ud800"}`, &fanoutv1.EmitRequest{}, `event: \ud800 is half of a surrogate pair, without the other`, `(line 1:11): \ud800`},
		{"half a pair", "{\n\"args\": [\"\\\\\\ud83d\\ude00\", \"ä\\uDC00 and more\"]}", &fanoutv1.EmitRequest{}, `args[1]: \uDC00 is half of a surrogate pair, without the other`, `(line 2:30): \uDC00`},
		{"half a pair in a name", `{"\ud800":"and more"}`, &fanoutv1.EmitRequest{}, "\uFFFD: " + `\ud800 is half of a surrogate pair, without the other`, ""},
		{"no object", `[]`, &fanoutv1.EmitRequest{}, "", "unexpected token ["},
		{"no JSON", `{"event":"e",}`, &fanoutv1.EmitRequest{}, "", "syntax error (line 1:14)"},
		{"JSON that ends early", `{"event":"\ud800`, &fanoutv1.EmitRequest{}, "", "unexpected EOF"},
		{"an escape that is none", `{"event":"\x and more"}`, &fanoutv1.EmitRequest{}, "", "invalid escape code"},
		{"text that is long", `{"wait":"` + strings.Repeat("ä", 1000) + `"}`, &fanoutv1.EmitRequest{}, `wait: invalid value for enum field wait: "` + strings.Repeat("ä", 110) + "…", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := decodeJSON([]byte(tt.body), tt.into)
			if status.Code(err) != codes.InvalidArgument || violation(err) != tt.want || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v with %q, want %q with %q", err, violation(err), tt.says, tt.want)
			}
		})
	}
}

// Whatever comes is read or refused, at a place that there is.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{goodEmit, `{"event":"\ud800"}`, `{"to":{"rooms":["r",7]}}`, "{\n\"args\":[{\"ä\":\"\\uDC00\"}]}", `{}{`, `{"to":`, "{\"\xff\":1}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := decodeJSON(data, &fanoutv1.EmitRequest{}); err != nil && status.Code(err) != codes.InvalidArgument {
			t.Error(err)
		}
	})
}
