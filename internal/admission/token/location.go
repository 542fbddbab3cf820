package token

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/admission"
)

// Location is where in a handshake a token may stand.
type Location string

// The locations there are.
const (
	// FromAuth is the field token of the auth object that the client sends with
	// its CONNECT packet: io({auth: {token}}). It is in no log and no URL.
	FromAuth Location = "auth"
	// FromQuery is the query parameter token. Addresses end up in the logs of
	// proxies and in what is shown of a connection, tokens and all: only for
	// clients that can do nothing else.
	FromQuery Location = "query"
	// FromHeader is the header Authorization: Bearer TOKEN (RFC 6750, 2.1).
	// Browsers cannot send it with a WebSocket.
	FromHeader Location = "header"
)

// Locations returns all locations, in the order in which they are looked at.
func Locations() []Location { return []Location{FromAuth, FromQuery, FromHeader} }

// DefaultLocations are those that keep tokens out of addresses.
func DefaultLocations() []Location { return []Location{FromAuth, FromHeader} }

// QueryField is the name of a token in a query, as in auth.
const QueryField = "token"

// find returns the token of a request: that of the first location, in the order
// of [Locations], which is configured and has one. Empty: there is none.
func (v *Verifier) find(r *admission.Request) string {
	locations := v.rules.Load().locations
	for _, l := range Locations() {
		if !slices.Contains(locations, l) {
			continue
		}
		var token string
		switch l {
		case FromAuth:
			token = fromAuth(r.Auth)
		case FromQuery:
			token = r.SecretQuery(QueryField)
		case FromHeader:
			token = bearer(r.Authorization)
		}
		if token != "" {
			return token
		}
	}
	return ""
}

// fromAuth returns the token in the client's auth. One that is no string is none.
func fromAuth(auth []byte) string {
	if len(auth) == 0 {
		return ""
	}
	var fields struct {
		Token json.RawMessage `json:"token"` // nothing else is worth decoding
	}
	var token string
	if json.Unmarshal(auth, &fields) != nil || len(fields.Token) == 0 || json.Unmarshal(fields.Token, &token) != nil {
		return ""
	}
	return token
}

func bearer(authorization string) string {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.Trim(token, " ")
}
