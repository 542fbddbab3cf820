// Package deploy has the tests of those examples in deploy/ that nothing in the
// daemon's own tests can start: what reads them elsewhere reads them here, by its own
// libraries. No container engine, cluster or network takes part.
//
// It is a module of its own, so that these libraries are none of the daemon's.
package deploy
