// Package fastpath is an http.Server that serves WebSocket handshakes by itself, and
// has net/http serve all else. It looks at the first bytes of a new connection with
// MSG_PEEK, which leaves them in the socket. One complete, valid GET that asks for a
// WebSocket it reads and hands to the HTTP handler; every other connection goes to
// net/http with nothing read from it: other requests, requests in pieces, malformed
// requests, connections that end.
//
// What it takes, net/http would have taken as the same request: FuzzTake compares
// the two.
//
// net/http allocates two buffers of 4 KiB for each connection and starts a
// goroutine that watches for its end, all of which a WebSocket throws away at once:
// most of the garbage when thousands connect at a time.
package fastpath
