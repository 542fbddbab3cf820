// Package bus is what carries messages between nodes: the interface, and a bus
// within one process for tests.
//
// It knows subjects and bytes. What a message means, what becomes of one that is
// lost and who the nodes are is decided above; see internal/cluster/link. A bus over
// NATS is internal/cluster/nats. All of them pass the test in bustest.
//
// Locks: Memory has one mutex for all its nodes, subscriptions included. Neither
// handlers nor the function of SetFaults are called under it.
package bus
