// Package direct has connections read and written past the Go scheduler's bookkeeping for system calls that may
// block. Theirs do not: where there is nothing to read, or no room, a goroutine waits as it always
// does.
//
// The bookkeeping itself costs little. But where a process was idle before, it wakes the runtime's monitor,
// which then looks around every 20 us; a process that handles one message after the other, and is idle in between,
// spends a sixth of its processor time on that.
//
// It imports nothing of ours, and package backend imports it too.
package direct
