// Package link keeps a numbered stream from each node to each other, over a bus that may
// lose, double and delay what it carries, and knows which nodes there are.
//
// What is sent on a link arrives in order and once, or the link ends: a receiver that
// sees a gap asks the sender, which keeps what the receiver has not acknowledged. A
// message is acknowledged when its handler has returned. What would not fit what is kept
// waits, and is refused in the end; a peer that does not acknowledge is suspected, and
// messages to it are refused at once. A refusal is the sender's to tell of: nothing that
// was taken is lost while both nodes know each other.
//
// Nodes announce themselves once a second. One that is silent, or says goodbye, or is
// back with another epoch, is gone, with what was on its way.
//
// The package knows no message's meaning.
//
// Locks: Mesh.mu guards who the peers are, peer.mu one peer's link. The handler is
// called under neither.
package link
