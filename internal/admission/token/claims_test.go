package token

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/sio"
)

func names(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint("room", i))
	}
	return all
}

func TestIdentity(t *testing.T) {
	tests := []struct {
		name   string
		claim  string // of the user; empty: the default
		change object
		want   sio.Admission // without Expire
		reason string        // of the refusal; empty: accepted
	}{
		{"a user", "", nil, sio.Admission{User: "42"}, ""},
		{"everything", "", object{"rooms": []string{"a", "b"}, "data": object{"x": 1, "y": []any{"z"}}},
			sio.Admission{User: "42", Rooms: []string{"a", "b"}, Data: object{"x": 1.0, "y": []any{"z"}}}, ""},
		{"nulls", "", object{"rooms": (*int)(nil), "data": (*int)(nil)}, sio.Admission{User: "42"}, ""},
		{"another claim", "uid", object{"uid": "u"}, sio.Admission{User: "u"}, ""},
		{"an integer", "uid", object{"uid": 42}, sio.Admission{User: "42"}, ""},
		{"an integer beyond float64", "uid", object{"uid": uint64(18446744073709551615)}, sio.Admission{User: "18446744073709551615"}, ""},
		{"letters of all sorts", "", object{"sub": "Zoë \x00 \"<'>"}, sio.Admission{User: "Zoë \x00 \"<'>"}, ""},

		{"no user", "", object{"sub": nil}, sio.Admission{}, `"sub", who the token is for, is missing`},
		{"no such claim", "uid", nil, sio.Admission{}, `"uid", who the token is for, is missing`},
		{"an empty user", "", object{"sub": ""}, sio.Admission{}, "neither"},
		{"a fraction", "uid", object{"uid": 4.2}, sio.Admission{}, "neither"},
		{"an exponent", "uid", object{"uid": 1e30}, sio.Admission{}, "neither"},
		{"a switch", "uid", object{"uid": true}, sio.Admission{}, "neither"},
		{"an object", "uid", object{"uid": object{"id": 1}}, sio.Admission{}, "neither"},
		{"a long user", "", object{"sub": strings.Repeat("x", maxName+1)}, sio.Admission{}, "1024 bytes"},

		{"as many rooms as allowed", "", object{"rooms": names(maxRooms)}, sio.Admission{User: "42", Rooms: names(maxRooms)}, ""},
		{"one room more", "", object{"rooms": names(maxRooms + 1)}, sio.Admission{}, "257 rooms"},
		{"a long room", "", object{"rooms": []string{strings.Repeat("x", maxName+1)}}, sio.Admission{}, "1024 bytes"},
		{"an empty room", "", object{"rooms": []string{"a", ""}}, sio.Admission{}, "empty"},
		{"a room that is no string", "", object{"rooms": []any{"a", 1}}, sio.Admission{}, "not a list of strings"},
		{"a room that is null", "", object{"rooms": []any{"a", nil}}, sio.Admission{}, "holds null"},
		{"one room without a list", "", object{"rooms": "a"}, sio.Admission{}, "not a list of strings"},

		{"data that is a list", "", object{"data": []int{1}}, sio.Admission{}, "not an object"},
		{"data that is a string", "", object{"data": "x"}, sio.Admission{}, "not an object"},
		{"large data", "", object{"data": object{"x": strings.Repeat("x", maxData)}}, sio.Admission{}, "allowed: 4096"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.UserClaim = tt.claim
			tokens := newVerifier(t, o)
			token := sign(t, "HS256", []byte(secret), nil, good(tt.change))
			if tt.reason != "" {
				refuses(t, tokens, token, Invalid, tt.reason)
				return
			}
			got := accepts(t, tokens, token)
			if got.User != tt.want.User || !slices.Equal(got.Rooms, tt.want.Rooms) || !reflect.DeepEqual(got.Data, tt.want.Data) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
