// Package blocks knows who may not connect: users by their names, and networks of
// addresses.
//
// A [Table] answers who is blocked, and merges what other nodes know: for each subject the
// entry with the latest [Stamp] stands, whoever wrote it, and in whatever order entries
// come. So that what was lifted does not come back, an entry stays in the table after its
// block has ended, for as long as [Remembered]. A [Keeper] is a table whose changes are
// kept in a [Store] and put in force by an [Ender].
//
// The package knows neither sockets nor nodes nor files.
//
// Locks: Keeper.writing, under which the store is written, and then Table.mu, which guards
// memory alone. Nobody is ended under either.
package blocks
