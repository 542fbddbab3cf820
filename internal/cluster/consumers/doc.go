// Package consumers brings what browsers of all nodes do to consumers at any node.
//
// The node that a consumer's stream is connected to is its home; the nodes that hold
// connections are holders. A consumer is a member of its group at every holder: there it
// is one more subscription of the local dispatcher, whose deliveries travel to the home.
// So a connection's queues stay at its node, every node decides by itself which member
// owns its connections, and package dispatch knows nothing of other nodes.
//
// What may be in flight to a consumer is bounded over all holders together: its home
// hands out limits, and takes back what a holder does not need when another is hungry.
// What may wait at the home, unread, is bounded by that, and for each holder by
// maxUnsettledBytes.
//
// A consumer that asks for it is told which connections it owns by the holders, in pieces:
// maxUnreadHandover bounds what the home keeps of that for each holder. While a holder is
// away the consumer keeps what it owned there; it is released when the holder is back, which
// says anew what it owns, or gone.
//
// When nodes lose each other, the holder ends the subscription at once, and what was in
// flight goes to other members; the home tells the consumer that it was cancelled, and
// subscribes anew when the holder is back. When a holder is gone, the home makes an end,
// [dispatch.ReasonNodeLost], for each connection there that belonged to the consumer and that the
// group had been told of. If that holder is back after all, with its epoch, the home tells
// it first of which connections, and it has the group told that they live.
package consumers
