// Package proxyprotocol takes connections of proxies that say by the PROXY protocol,
// version 1 or 2 (haproxy, doc/proxy-protocol.txt), whom each of them serves, and by TLS or not.
//
// The header is parsed by go-proxyproto. Its connections read ahead, though, and hide the
// socket: here exactly the header is taken from it, so that what comes next, TLS, HTTP or
// a WebSocket, finds the rest in the socket.
//
// It does not know which proxies are trusted.
package proxyprotocol
