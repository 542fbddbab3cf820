// Package forward hands a browser's request to the node whose session it belongs to, so
// that a balancer in front of a cluster needs to know nothing of sessions.
//
// A session's id begins with the epoch of its node. A poll, a POST or an upgrade of
// another node's session is proxied there over HTTP; all else is served here. WebTransport
// does not move: its sessions are connections of their own, which no balancer splits.
//
// A request that was handed over is marked with who the client is, and with a proof that
// a node of the cluster says so: only then the mark is believed, and no marked request is
// handed over again. Without a secret that all nodes share the proof proves nothing, and
// whoever reaches a node may claim to be any address.
package forward
