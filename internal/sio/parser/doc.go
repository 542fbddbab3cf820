// Package parser turns Socket.IO protocol v5 packets into bytes and back, in the
// JSON encoding (socket.io-parser/lib/index.ts, lib/binary.ts) and in MessagePack
// (socket.io-msgpack-parser/index.js). A packet's data is JSON text with
// attachments in either; MessagePack is turned into that and made of it.
//
// It is pure: bytes in, bytes out, no goroutine, no clock, no I/O. It knows the
// shape of packets and the limits that keep any client's packet harmless; it
// does not know what a namespace, an event or an ack means to a server.
//
// JSON is checked, never decoded: argument texts pass through verbatim, so key
// order, large integers, spacing, further members of placeholders and any depth of
// nesting survive, and nothing is allocated for values nobody here looks at.
//
// Where the reference decoder takes what no encoder writes (an empty packet read
// as CONNECT, a blank read as the ack id 0, "1e0" as an attachment count, an EVENT
// without its array), this one refuses: every accepted packet has one reading. The
// tests list each difference.
package parser
