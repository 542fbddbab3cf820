package cli

import (
	"cmp"
	"context"
	"slices"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Bounds of a look for slow connections, in pages of 1,000: how many are looked at for one
// sample of a view that is renewed, which goes on with the next sample where it has been,
// and how many for a view that is shown once.
const (
	scanAtOnce = 5
	maxScan    = 100
)

// sample is what the daemon told at one moment. It is not changed.
type sample struct {
	at          time.Time // when the answers were there
	info        *fanoutv1.GetServerInfoResponse
	nodes       []*fanoutv1.ListNodesResponse_Node
	groups      []*fanoutv1.ListConsumersResponse_Group // with all their consumers
	unreachable []string                                // nodes whose part is missing
	slow        *slowConnections                        // nil: nobody asked for them
	err         error                                   // explained; then the rest is not complete
}

// sampler takes samples, one after the other.
type sampler struct {
	*run
	scan slowScan
}

// sample asks the daemon, and looks through so many pages of connections for slow ones.
func (s *sampler) sample(ctx context.Context, pages int) *sample {
	r := *s.run // whose calls end with ctx, and which notes only what this sample misses
	r.ctx, r.unreachable = ctx, nil
	r.conn.ResetConnectBackoff() // a daemon that has just come back is seen with the next sample
	var taken sample
	taken.err = r.explain(taken.fill(&r))
	if taken.err == nil && pages > 0 {
		taken.slow, taken.err = s.scan.look(&r, pages)
		taken.err = r.explain(taken.err)
	}
	taken.at, taken.unreachable = time.Now(), r.unreachable
	return &taken
}

func (s *sample) fill(r *run) error {
	nodes, err := ask(r, r.admin.ListNodes, &fanoutv1.ListNodesRequest{})
	if err != nil {
		return err
	}
	s.nodes = nodes.GetNodes()
	if s.info, err = ask(r, r.admin.GetServerInfo, &fanoutv1.GetServerInfoRequest{}); err != nil {
		return err
	}
	return r.eachGroup("", func(g *fanoutv1.ListConsumersResponse_Group, goesOn bool) (bool, error) {
		if goesOn {
			last := s.groups[len(s.groups)-1]
			last.Consumers = append(last.Consumers, g.GetConsumers()...)
		} else {
			s.groups = append(s.groups, g)
		}
		return false, nil
	})
}

// slowConnections are those for which something waits, or something volatile was dropped.
type slowConnections struct {
	list   []*fanoutv1.Connection // those for which most waits first
	looked int                    // at so many connections, those without anything included
	all    bool                   // that is all there are
}

// slowScan looks for slow connections. What it has found stays until it has come around to
// where it found it.
type slowScan struct {
	token  string // of the next page; empty: the first
	round  int
	looked int // in this round
	before int // in the round before; 0: there was none
	found  map[string]foundSlow
}

type foundSlow struct {
	connection *fanoutv1.Connection
	round      int
}

// look looks through so many pages, and returns what is known then.
func (s *slowScan) look(r *run, pages int) (*slowConnections, error) {
	if s.found == nil {
		s.found = map[string]foundSlow{}
	}
	req := &fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{Namespace: "*", All: true}, PageSize: maxPage}
	for range pages {
		req.PageToken = s.token
		page, err := ask(r, r.registry.ListConnections, req)
		if err != nil {
			*s = slowScan{} // the token may be of a daemon that has ended
			return nil, err
		}
		r.missed(page.GetUnreachable())
		s.page(page)
		if s.token == "" {
			break // the next look begins anew
		}
	}
	return s.known(), nil
}

// page takes what is on one page.
func (s *slowScan) page(page *fanoutv1.ListConnectionsResponse) {
	filter := connectionFilter{slow: true}
	for _, c := range page.GetConnections() {
		s.looked++
		if filter.takes(c) {
			s.found[c.GetId()] = foundSlow{c, s.round}
		} else {
			delete(s.found, c.GetId())
		}
	}
	if s.token = page.GetNextPageToken(); s.token != "" {
		return
	}
	for id, f := range s.found {
		if f.round != s.round { // it was not there any more
			delete(s.found, id)
		}
	}
	s.round, s.before, s.looked = s.round+1, s.looked, 0
}

// known is what was found so far.
func (s *slowScan) known() *slowConnections {
	known := &slowConnections{looked: max(s.looked, s.before), all: s.round > 0}
	for _, f := range s.found {
		known.list = append(known.list, f.connection)
	}
	slices.SortFunc(known.list, func(a, b *fanoutv1.Connection) int {
		return cmp.Or(cmp.Compare(b.GetQueuedBytes(), a.GetQueuedBytes()), cmp.Compare(b.GetVolatileDropped(), a.GetVolatileDropped()), cmp.Compare(a.GetId(), b.GetId()))
	})
	return known
}
