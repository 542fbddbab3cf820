// Package identity says who calls the control API: it turns the key that a call
// brings into a [Principal], and carries that in the call's context.
//
// It knows no transport: whoever serves the API over gRPC, HTTP or anything else
// asks the same [Authenticator].
package identity
