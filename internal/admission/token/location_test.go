package token

import "testing"

func TestFind(t *testing.T) {
	tests := []struct {
		name      string
		locations []Location // nil: the default
		auth      string
		query     map[string]string
		header    string
		want      string
	}{
		{"nothing", nil, "", nil, "", ""},
		{"auth", nil, `{"token":"a"}`, nil, "", "a"},
		{"auth among more", nil, `{"x":{"token":"b"},"token":"a","y":[]}`, nil, "", "a"},
		{"auth with an escape", nil, `{"token":"\u0061"}`, nil, "", "a"},
		{"auth without a token", nil, `{"user":"a"}`, nil, "", ""},
		{"a token that is a number", nil, `{"token":1}`, nil, "", ""},
		{"a token that is null", nil, `{"token":null}`, nil, "", ""},
		{"auth that is a list", nil, `["a"]`, nil, "", ""},
		{"auth that is no JSON", nil, `{"token":"a"`, nil, "", ""},
		{"header", nil, "", nil, "Bearer a", "a"},
		{"header in lower case, with blanks", nil, "", nil, "bearer  a ", "a"},
		{"header of another scheme", nil, "", nil, "Basic a", ""},
		{"header without a scheme", nil, "", nil, "a", ""},
		{"header without a token", nil, "", nil, "Bearer", ""},
		{"auth before header", nil, `{"token":"a"}`, nil, "Bearer b", "a"},
		{"header after an empty auth", nil, `{"token":""}`, nil, "Bearer b", "b"},
		{"query is off by default", nil, "", map[string]string{"token": "q"}, "", ""},
		{"query, on", []Location{FromQuery}, `{"token":"a"}`, map[string]string{"token": "q"}, "Bearer b", "q"},
		{"auth before query", Locations(), `{"token":"a"}`, map[string]string{"token": "q"}, "Bearer b", "a"},
		{"query before header", []Location{FromHeader, FromQuery}, "", map[string]string{"token": "q"}, "Bearer b", "q"},
		{"other parameters", Locations(), "", map[string]string{"access_token": "q"}, "", ""},
		{"auth is off", []Location{FromHeader}, `{"token":"a"}`, nil, "", ""},
		{"header is off", []Location{FromAuth}, "", nil, "Bearer b", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.Locations = tt.locations
			if got := newVerifier(t, o).find(request([]byte(tt.auth), tt.query, tt.header)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
