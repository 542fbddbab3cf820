// Package idempotency sees to it that what is asked for under one key is done once.
//
// A [Table] is what one node remembers. [Table.Once] is all that a node alone needs;
// nodes that share keys begin and end attempts themselves.
//
// Locks: Table.mu is innermost; nothing is called under it.
package idempotency
