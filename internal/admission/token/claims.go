package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Names of the claims that say more than who (private claims, RFC 7519, 4.3).
const (
	roomsClaim = "rooms"
	dataClaim  = "data"
)

// claims are those of one token, each still as JSON. Names are exact: the
// struct decoding of encoding/json would take EXP for exp.
type claims map[string]json.RawMessage

var _ jwt.Claims = claims{}

// GetExpirationTime implements jwt.Claims.
func (c claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.date("exp") }

// GetIssuedAt implements jwt.Claims.
func (c claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.date("iat") }

// GetNotBefore implements jwt.Claims.
func (c claims) GetNotBefore() (*jwt.NumericDate, error) { return c.date("nbf") }

// GetIssuer implements jwt.Claims.
func (c claims) GetIssuer() (string, error) { return c.text("iss") }

// GetSubject implements jwt.Claims.
func (c claims) GetSubject() (string, error) { return c.text("sub") }

// GetAudience implements jwt.Claims: one string or several.
func (c claims) GetAudience() (jwt.ClaimStrings, error) {
	if raw := c["aud"]; len(raw) > 0 && raw[0] == '"' {
		one, err := c.text("aud")
		return jwt.ClaimStrings{one}, err
	}
	return c.texts("aud")
}

// has reports whether there is a claim of this name; null is none.
func (c claims) has(name string) bool {
	return len(c[name]) > 0 && !bytes.Equal(c[name], []byte("null"))
}

// read decodes a claim, if there is one. Its error does not show the value.
func (c claims) read(name, what string, into any) error {
	if !c.has(name) {
		return nil
	}
	if err := json.Unmarshal(c[name], into); err != nil {
		return fmt.Errorf("the claim %.64q is not %s", name, what)
	}
	return nil
}

func (c claims) text(name string) (s string, err error) {
	return s, c.read(name, "a string", &s)
}

// texts reads a list of strings.
func (c claims) texts(name string) ([]string, error) {
	var list []*string
	if err := c.read(name, "a list of strings", &list); err != nil {
		return nil, err
	}
	var all []string
	for _, s := range list {
		if s == nil {
			return nil, fmt.Errorf("the claim %.64q holds null", name)
		}
		all = append(all, *s)
	}
	return all, nil
}

// lastDate is the last second that RFC 3339 can write, as what shows the
// expiry to backends has to: 9999-12-31T23:59:59Z.
const lastDate = 253402300799

// date reads seconds since 1970 (RFC 7519, 2, NumericDate).
func (c claims) date(name string) (*jwt.NumericDate, error) {
	if !c.has(name) {
		return nil, nil
	}
	var seconds float64
	if err := c.read(name, "a number", &seconds); err != nil {
		return nil, err
	}
	if seconds < 0 || seconds > lastDate {
		return nil, fmt.Errorf("the claim %.64q lies before 1970 or after 9999", name)
	}
	return jwt.NewNumericDate(time.Unix(int64(seconds), 0)), nil
}

// user reads who the token is for. Some issuers count their users: an integer
// is taken as it is written.
func (c claims) user(name string) (string, error) {
	if !c.has(name) {
		return "", fmt.Errorf("the claim %.64q, who the token is for, is missing", name)
	}
	user, err := c.text(name)
	if err != nil {
		var id json.Number
		if err = c.read(name, "a number", &id); err == nil && !bytes.ContainsAny(c[name], ".eE") {
			user = id.String()
		}
	}
	switch {
	case err != nil || user == "":
		return "", fmt.Errorf("the claim %.64q is neither an integer nor a string with something in it", name)
	case len(user) > maxName:
		return "", fmt.Errorf("the claim %.64q has more than %d bytes", name, maxName)
	}
	return user, nil
}

func (c claims) rooms() ([]string, error) {
	rooms, err := c.texts(roomsClaim)
	switch {
	case err != nil:
		return nil, err
	case len(rooms) > maxRooms:
		return nil, fmt.Errorf("%d rooms; allowed: %d", len(rooms), maxRooms)
	}
	for _, r := range rooms {
		if r == "" || len(r) > maxName {
			return nil, fmt.Errorf("the name of a room is empty or has more than %d bytes", maxName)
		}
	}
	return rooms, nil
}

func (c claims) data() (data map[string]any, err error) {
	if n := len(c[dataClaim]); n > maxData {
		return nil, fmt.Errorf("data of %d bytes; allowed: %d", n, maxData)
	}
	return data, c.read(dataClaim, "an object", &data)
}

// admission reads what a verified token grants, its Expire never zero. Nothing is cut off to fit: a
// token that asks for too much is refused.
func (c claims) admission(userClaim string) (sio.Admission, error) {
	exp, err := c.GetExpirationTime()
	if err != nil {
		return sio.Admission{}, err
	}
	if exp == nil { // the parser has seen to it
		return sio.Admission{}, errors.New("no expiry")
	}
	a := sio.Admission{Expire: exp.Time}
	if a.User, err = c.user(userClaim); err != nil {
		return sio.Admission{}, err
	}
	if a.Rooms, err = c.rooms(); err != nil {
		return sio.Admission{}, err
	}
	if a.Data, err = c.data(); err != nil {
		return sio.Admission{}, err
	}
	return a, nil
}
