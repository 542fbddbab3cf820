// Package front stands before net/http on a listener that serves WebSockets. It
// looks at what a new connection says first, without taking it. A complete
// request for a WebSocket it hands to the HTTP handler by itself; everything else
// goes to net/http, untouched: other requests, requests in pieces, requests that
// are not quite right, connections that say nothing.
//
// net/http makes for each connection two buffers of 4 KiB and a goroutine that
// watches for its end, which a WebSocket throws away at once: most of the garbage
// when thousands come at a time.
package front
