package token

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
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
		want   Identity // without Expire
		reason string   // of the refusal; empty: accepted
	}{
		{"a user", "", nil, Identity{User: "42"}, ""},
		{"everything", "", object{"rooms": []string{"a", "b"}, "data": object{"x": 1, "y": []any{"z"}}},
			Identity{User: "42", Rooms: []string{"a", "b"}, Data: object{"x": 1.0, "y": []any{"z"}}}, ""},
		{"nulls", "", object{"rooms": (*int)(nil), "data": (*int)(nil)}, Identity{User: "42"}, ""},
		{"another claim", "uid", object{"uid": "u"}, Identity{User: "u"}, ""},
		{"an integer", "uid", object{"uid": 42}, Identity{User: "42"}, ""},
		{"an integer beyond float64", "uid", object{"uid": uint64(18446744073709551615)}, Identity{User: "18446744073709551615"}, ""},
		{"letters of all sorts", "", object{"sub": "Zoë \x00 \"<'>"}, Identity{User: "Zoë \x00 \"<'>"}, ""},

		{"no user", "", object{"sub": nil}, Identity{}, `"sub", who the token is for, is missing`},
		{"no such claim", "uid", nil, Identity{}, `"uid", who the token is for, is missing`},
		{"an empty user", "", object{"sub": ""}, Identity{}, "neither"},
		{"a fraction", "uid", object{"uid": 4.2}, Identity{}, "neither"},
		{"an exponent", "uid", object{"uid": 1e30}, Identity{}, "neither"},
		{"a switch", "uid", object{"uid": true}, Identity{}, "neither"},
		{"an object", "uid", object{"uid": object{"id": 1}}, Identity{}, "neither"},
		{"a long user", "", object{"sub": strings.Repeat("x", maxName+1)}, Identity{}, "1024 bytes"},

		{"as many rooms as allowed", "", object{"rooms": names(maxRooms)}, Identity{User: "42", Rooms: names(maxRooms)}, ""},
		{"one room more", "", object{"rooms": names(maxRooms + 1)}, Identity{}, "257 rooms"},
		{"a long room", "", object{"rooms": []string{strings.Repeat("x", maxName+1)}}, Identity{}, "1024 bytes"},
		{"an empty room", "", object{"rooms": []string{"a", ""}}, Identity{}, "empty"},
		{"a room that is no string", "", object{"rooms": []any{"a", 1}}, Identity{}, "not a list of strings"},
		{"a room that is null", "", object{"rooms": []any{"a", nil}}, Identity{}, "holds null"},
		{"one room without a list", "", object{"rooms": "a"}, Identity{}, "not a list of strings"},

		{"data that is a list", "", object{"data": []int{1}}, Identity{}, "not an object"},
		{"data that is a string", "", object{"data": "x"}, Identity{}, "not an object"},
		{"large data", "", object{"data": object{"x": strings.Repeat("x", maxData)}}, Identity{}, "allowed: 4096"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.UserClaim = tt.claim
			tokens := newTokens(t, o)
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
