package sio

import (
	"encoding/json"
	"errors"
)

// What clients are told here that may not connect, beside what a [Backend] tells them.
const (
	MessageInvalidNamespace  = "Invalid namespace" // the reference's words (socket.io/lib/client.ts)
	MessageTooManyNamespaces = "too many namespaces"
	MessageBlocked           = "blocked"
	MessageTryAgain          = "try again later"
	MessageRefused           = "connection refused"
	MessageUnknownParser     = "unknown parser: this server reads JSON, as clients write it by default, and MessagePack (socket.io-msgpack-parser)"
)

// Refusal is an answer to a client that may not connect: what its
// connect_error handler gets.
type Refusal struct {
	Message string
	Data    json.RawMessage // nil: none
}

func (r *Refusal) Error() string { return r.Message }

// Unavailable is why a client was not let in that nobody refused: the source that
// was to decide could not, for now. A [*Refusal] is somebody's decision and final; this
// may pass, so that a client that asks again may be let in.
type Unavailable struct {
	Message string // what it is, for the log: clients are not told
	Reason  error  // for the log only; nil: none
}

func (u *Unavailable) Error() string {
	if u.Reason == nil {
		return u.Message
	}
	return u.Message + ": " + u.Reason.Error()
}

// Unwrap returns the reason.
func (u *Unavailable) Unwrap() error { return u.Reason }

// passing reports whether a CONNECT failed in a way that may pass.
func passing(err error) bool {
	refusal, unavailable := (*Refusal)(nil), (*Unavailable)(nil)
	return !errors.As(err, &refusal) && errors.As(err, &unavailable)
}

// refusal is what a client is told about err, with which its CONNECT failed.
func refusal(err error) *Refusal {
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return r
	}
	if passing(err) {
		return &Refusal{Message: MessageTryAgain, Data: []byte(`{"retry":true}`)}
	}
	return &Refusal{Message: MessageRefused}
}
