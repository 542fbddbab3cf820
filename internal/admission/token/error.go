package token

import "fmt"

// Code is what a client may know about its refusal.
type Code string

// The codes there are. The texts are what clients compare with.
const (
	// Missing: there is no token where tokens are looked for.
	Missing Code = "token missing"
	// Expired: the token was good until its time. A new one will do.
	Expired Code = "token expired"
	// Invalid: the token is not acceptable for any other reason.
	Invalid Code = "token invalid"
	// Unavailable: nothing is wrong with the token so far, but the keys to
	// verify it with cannot be had now.
	Unavailable Code = "authorization unavailable"
)

// Error is a refusal.
type Error struct {
	Code   Code
	Reason error // for the log only: it tells an attacker too much; nil: none
}

func (e *Error) Error() string {
	if e.Reason == nil {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Reason.Error()
}

func (e *Error) Unwrap() error { return e.Reason }

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Reason: fmt.Errorf(format, args...)}
}
