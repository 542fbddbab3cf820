package token

import (
	"encoding/json"
	"slices"
	"strings"
)

// Source is where in a handshake a token may stand.
type Source string

// The sources there are.
const (
	// FromAuth is the field token of the auth object that the client sends with
	// its CONNECT packet: io({auth: {token}}). It is in no log and no URL.
	FromAuth Source = "auth"
	// FromQuery is the query parameter token. Addresses end up in the logs of
	// proxies and in what is shown of a connection, tokens and all: only for
	// clients that can do nothing else.
	FromQuery Source = "query"
	// FromHeader is the header Authorization: Bearer TOKEN (RFC 6750, 2.1).
	// Browsers cannot send it with a WebSocket.
	FromHeader Source = "header"
)

// Sources returns all sources, in the order in which they are looked at.
func Sources() []Source { return []Source{FromAuth, FromQuery, FromHeader} }

// DefaultSources are those that keep tokens out of addresses.
func DefaultSources() []Source { return []Source{FromAuth, FromHeader} }

// TokenField is the name of a token in auth and query.
const TokenField = "token"

// Find returns the token of a handshake: that of the first source, in the order
// of [Sources], which is configured and has one. Empty: there is none. auth is
// the JSON object that the client sent, or nil; authorization the value of the
// header.
func (t *Tokens) Find(auth []byte, query map[string]string, authorization string) string {
	for _, s := range Sources() {
		if !slices.Contains(t.sources, s) {
			continue
		}
		var token string
		switch s {
		case FromAuth:
			token = fromAuth(auth)
		case FromQuery:
			token = query[TokenField]
		case FromHeader:
			token = bearer(authorization)
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
