// Package h2split divides the connections of one listener among two servers by what
// their clients speak: HTTP/2 and nothing else, as gRPC does, or anything else, HTTP/2 by
// choice included.
//
// In plain text a client of HTTP/2 begins with its preface (RFC 9113, section 3.4), and
// the first three bytes tell: no other client sends "PRI". Where the system can, they are
// looked at with MSG_PEEK and stay in the socket, so that the server gets the connection
// as it was accepted, and pays nothing from then on.
//
// Over TLS it is what the client offers in ALPN: h2 alone, or http/1.1 beside it, or
// nothing. What it will ask for cannot be told before it has decided, so that a client of
// gRPC that offers both comes to the server of everything else.
//
// It knows neither server.
package h2split
