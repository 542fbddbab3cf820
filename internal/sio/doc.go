// Package sio is the Socket.IO server: namespaces, the sockets in them, and the
// operations that reach those sockets.
//
// Two small interfaces carry everything. Downwards, operations ([Op]) from
// backends arrive through [Server.Apply] and take effect on browsers; those that
// want answers go through [Server.EmitWithAck]. Upwards, what browsers do arrives at the
// one [Backend]. The server runs no application
// code, and has never heard of gRPC or of other nodes.
//
// # Locks
//
//	conn.mu -> Namespace.mu -> namespaces.mu
//	                        -> retention.mu
//	                        -> engineio's
//
// conn.mu serialises what one browser does, so callbacks of one session never
// overlap; a Backend may block under it, and so may whoever takes the answers
// to an [AckRequest]. Namespace.mu guards membership: every
// operation on a namespace is one critical section, so all sockets see
// operations in one order. Only memory is touched under it; packets are encoded
// before and written after.
package sio
