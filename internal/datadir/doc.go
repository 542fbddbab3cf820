// Package datadir is the directory in which a node keeps what outlives a restart.
//
// It holds one file of bbolt, fanoutd.db, with a bucket for each kind of record and one for
// itself, which says in which format the others are. What the records mean is the business
// of those who keep them; they may add members to records, and buckets, without a new
// format. Whatever an older daemon must not read, or would not understand, wants a new one:
// a function in upgrades, and a file of the format before it in testdata.
//
// A node has the directory for itself: the file is locked while it runs.
package datadir
