// Package connections bounds the connections to the listener of the control API, before
// anybody is known there: how many there are, how many of them are strangers', and how long
// a stranger's may stay.
//
// A connection is a stranger's until somebody who is known calls by it, and again once the
// key of who did is valid no longer. Strangers have a part of all places only, and where a
// place is wanted, the oldest stranger's connection makes room: so whoever has a key gets
// in, unless all places are those of callers with keys.
//
// It knows no transport and no key: a transport serves what a [Listener] accepts, finds
// the connection of a call by [Of], and says which calls are of somebody known.
//
// Locks: Limiter.mu, then Conn.mu; under them only memory and timers are touched.
package connections
