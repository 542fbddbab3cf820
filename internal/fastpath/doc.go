// Package fastpath is an http.Server that serves by itself the two requests that browsers of
// Socket.IO make most: WebSocket handshakes, and polls with their POSTs. net/http serves
// all else.
//
// It looks at what a connection has to read with MSG_PEEK, which leaves it in the socket. A
// request that is complete, valid and one of the two it reads, to its last byte and not beyond, and
// hands to the HTTP handler; after a poll it looks again. A connection that begins with
// anything else, or goes on with it, goes to net/http with nothing read from it, and stays
// there: other requests, chunks, large bodies, what expects to be told to continue,
// malformed requests. For the rest of a poll that has come in part it waits a second; then
// net/http has the patience. So there is no second opinion on HTTP here, only a shorter way: the
// requests are parsed by http.ReadRequest, and FuzzTake and FuzzConnection compare what is
// taken and answered with what an http.Server makes of the same bytes.
//
// net/http allocates two buffers of 4 KiB for each connection, reads ahead by a goroutine for each
// request to notice that the client leaves, and writes an answer in two steps. A WebSocket throws
// all of that away at once. Here a connection between polls, or with one that waits, has one
// goroutine and no buffer, [netpoll.HangUp] tells that its client leaves, and an answer is one write.
// That is for Linux; elsewhere net/http serves polls, and where a connection is no
// socket of its own, as by TLS, everything.
//
// # Locks
//
// Server.mu guards which connections there are; conn.mu what may be done to the poll of one
// while it is served: that it is canceled, and its deadline.
package fastpath
