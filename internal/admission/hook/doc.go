// Package hook asks a backend which browsers may connect: the client of
// fanout.hook.v1, which the backend serves and the daemon dials.
//
// Whatever goes wrong keeps the browser out. A connection waits for a slot and for
// the answer no longer than the time limit, and no more calls than the limit are in
// flight, so that a slow backend meets neither a flood nor a pile of
// goroutines that have forgotten their browsers.
package hook
