// Package history is test support: it records what callers of a cluster were answered
// and what its connections received, and judges both by what docs/cluster.md promises,
// "What it promises" 1, 2, 3 and 7. It knows nothing of nodes but their names, so that
// whoever runs a cluster, in one process or in many, can use it.
package history
