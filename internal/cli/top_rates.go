package cli

import (
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// rates are how much there is of something a second, as two samples tell it.
type rates struct {
	nodes  map[string]*nodeRates // by epoch; those of the last sample
	groups map[string]*groupRate // by name; likewise
}

// nodeRates are those of one node: what it does between two times at which it told of it.
type nodeRates struct {
	last  *fanoutv1.ListNodesResponse_Node_Activity
	known bool // there was one before the last

	in, out, emits float64 // a second
	fanOut         float64 // seconds of each second
}

// groupRate is how much is delivered to a group.
type groupRate struct {
	at        time.Time
	last      uint64
	known     bool
	delivered float64 // a second
}

// add takes the next sample.
func (r *rates) add(s *sample) {
	nodes := map[string]*nodeRates{}
	for _, n := range s.nodes {
		if n.GetActivity() != nil {
			nodes[n.GetEpoch()] = r.nodes[n.GetEpoch()].then(n.GetActivity())
		}
	}
	groups := map[string]*groupRate{}
	for _, g := range s.groups {
		groups[g.GetName()] = r.groups[g.GetName()].then(s.at, g.GetDelivered())
	}
	r.nodes, r.groups = nodes, groups
}

// then returns the rates after a was told; n is nil if nothing was before. One that was told
// already changes nothing.
func (n *nodeRates) then(a *fanoutv1.ListNodesResponse_Node_Activity) *nodeRates {
	next := &nodeRates{last: a}
	if n == nil {
		return next
	}
	was := n.last
	seconds := a.GetAt().AsTime().Sub(was.GetAt().AsTime()).Seconds()
	switch {
	case seconds == 0:
		return n
	case seconds < 0, a.GetEventsReceived() < was.GetEventsReceived(), a.GetEventsSent() < was.GetEventsSent(), a.GetEmits() < was.GetEmits():
		return next // its clock was set, or it has counted anew
	}
	next.known = true
	next.in = float64(a.GetEventsReceived()-was.GetEventsReceived()) / seconds
	next.out = float64(a.GetEventsSent()-was.GetEventsSent()) / seconds
	next.emits = float64(a.GetEmits()-was.GetEmits()) / seconds
	next.fanOut = max(0, (a.GetFanoutTime().AsDuration()-was.GetFanoutTime().AsDuration()).Seconds()) / seconds
	return next
}

// then returns the rate after so many were delivered in all; g is nil if nothing was known
// before.
func (g *groupRate) then(at time.Time, delivered uint64) *groupRate {
	next := &groupRate{at: at, last: delivered}
	if g == nil || delivered < g.last || !at.After(g.at) {
		return next
	}
	next.known, next.delivered = true, float64(delivered-g.last)/at.Sub(g.at).Seconds()
	return next
}

// all are the rates of all nodes together.
func (r *rates) all() nodeRates {
	var sum nodeRates
	for _, n := range r.nodes {
		sum.known = sum.known || n.known
		sum.in += n.in
		sum.out += n.out
		sum.emits += n.emits
		sum.fanOut += n.fanOut
	}
	return sum
}

// of returns the rates of the node with this epoch, none if nothing is known of it.
func (r *rates) of(epoch string) nodeRates {
	if n := r.nodes[epoch]; n != nil {
		return *n
	}
	return nodeRates{}
}
