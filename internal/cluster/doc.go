// Package cluster makes one registry of the connections of several nodes.
//
// A [Node] carries out operations here and at the peers that may have connections of
// the target, and asks them for what they know. It has the methods of a [Hub], so that
// whoever used one server uses the cluster in the same way. It knows what messages
// between nodes mean, who is asked, and what a missing answer means; how messages
// travel is package link's business, and what they travel over package bus's.
//
// A peer that does not answer in time, or is known to be away, is named in
// [sio.Coverage.Unreachable]; nothing waits for it longer than that.
package cluster
