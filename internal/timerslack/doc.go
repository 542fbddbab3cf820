// Package timerslack lets the timers of this process be late by up to half a millisecond.
//
// A thread of the Go runtime looks after the goroutines every 20 us when the process begins to work,
// and less often only when nothing was to be done fifty times. Linux lets the timers of a thread be
// late by its timer slack, 50 us unless somebody says otherwise, so that a server that works and
// is idle by turns is interrupted 14 times in a millisecond of work. With half a millisecond it is twice. What
// comes from the network wakes the process as soon as before.
package timerslack
