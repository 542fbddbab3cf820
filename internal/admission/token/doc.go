// Package token says who a browser is by the token it brings: it verifies JSON Web
// Tokens and reads from them the user, the rooms, the data and the expiry of a
// connection.
//
// What is accepted is fixed by configuration, never by a token: the algorithms,
// the key or the one URL that publishes the keys, the issuer and the audience.
// A token's header only picks among keys that are trusted already; jku, jwk, x5u
// and x5c in it are never read, and one with crit is refused (RFC 7515, 4.1;
// RFC 8725, 3).
//
// A [Verifier] is an admission.Source. The package knows no gRPC; apart from
// fetching a JWK Set it does no I/O. Refusals carry a [Code] for the client, who
// learns no more, and a reason for the log.
//
// # Locks
//
// keySet.mu guards which keys there are; nothing is called under it.
package token
