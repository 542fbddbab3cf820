// Package identity says who calls the control API, and what it may do: it turns the key
// that a call brings, or the certificate, into a [Principal], and carries that in the
// call's context.
//
// It knows no transport: every transport of the API, be it gRPC, HTTP or another,
// asks the same [Authenticator].
package identity
