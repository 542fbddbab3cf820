// Package sio is the Socket.IO server: namespaces, the sockets in them, and the
// operations that reach those sockets.
//
// From backends come operations ([Op], by [Server.Apply]), which take effect on
// browsers; emits that ask for an ack ([Server.EmitWithAck], [Server.Call]); queries
// ([Server.Connections] and its like); watches of what changes ([Server.Watch]); and answers to the acks that browsers ask
// for ([Socket.Ack]). What browsers do goes to the one [Backend]. The server runs
// no application code. It knows neither gRPC nor a network of servers: of other
// nodes it knows that this one has a name among them ([Options].Node), and that
// counts may lack some ([Coverage]).
//
// # Locks
//
// internal/LOCKS.md has them all. conn.mu serialises what one browser does, so
// callbacks of one session never overlap; a Backend may block under it, and so
// may the caller that takes the answers to an [AckRequest]. Only Backend.Connecting
// is called under no lock: it may overlap with the session's other callbacks. Namespace.mu guards
// membership: every operation on a namespace is one critical section, so all
// sockets see operations in one order. Only memory is touched under it; packets
// are encoded before and written after.
package sio
