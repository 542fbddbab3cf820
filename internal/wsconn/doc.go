// Package wsconn is the server's side of WebSocket connections (RFC 6455, RFC
// 7692), on top of gorilla/websocket.
//
// It borrows from gorilla the handshake's checks and answer, and the reading:
// masking, fragments, inflating, control frames and the protocol's rules.
//
// It gives back the raw connection. Nobody writes through gorilla: callers lay
// out frames with [AppendHeader], once for all recipients, and write them to
// [Conn.NetConn] as they like. What gorilla would write by itself after the
// handshake, pongs and close frames, is handed to a [ControlHandler] instead. So there is
// one writer, which is the caller's.
//
// A connection that is silent has nothing of gorilla's: what reading needs is lent to it
// while somebody reads ([Conn.Acquire], [Conn.Release]).
//
// What extensions and subprotocols are agreed on is decided here, by
// [Upgrader.Upgrade]; gorilla is told.
//
// It knows nothing of Engine.IO. It has no locks: a Conn is read from by one
// goroutine at a time; Close, SetReadDeadline and the writes to NetConn may come
// from others.
package wsconn
