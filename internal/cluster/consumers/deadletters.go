package consumers

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// A dead letter is kept by the node where its event waited, whose epoch its id begins
// with.

// deadLetters is a Call about the dead letters that the filter means.
func deadLetters(f *dispatch.DeadLetterFilter, after string, limit int) *clusterv1.DeadLetters {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // strings cannot fail
	}
	return &clusterv1.DeadLetters{Filter: text, After: after, Limit: int32(limit)} //nolint:gosec // a thousand at most
}

// DeadLetters lists node by node, in the order of their epochs. nodes has those whose
// dead letters are missing: a later page does not come back to them.
func (d *Dispatcher) DeadLetters(ctx context.Context, f dispatch.DeadLetterFilter, after string, limit int) (page []dispatch.DeadLetter, more bool, nodes sio.Coverage) {
	ctx, cancel := d.answerTime(ctx)
	defer cancel()
	places := map[string]*peer{d.opts.Epoch: nil}
	for _, p := range d.all() {
		places[p.epoch] = p
		if p.isSuspected() {
			nodes.Miss(p.name)
		}
	}
	epochs := slices.Sorted(maps.Keys(places))
	size := 0 // bytes that came from other nodes
	for i, epoch := range epochs {
		if len(after) >= epochLength && epoch < after[:epochLength] {
			continue
		}
		if len(page) == limit || size >= maxPageBytes {
			return page, true, nodes
		}
		var part []dispatch.DeadLetter
		if p := places[epoch]; p == nil {
			part, more = d.local.DeadLetters(f, after, limit-len(page))
		} else {
			r := d.callWithin(ctx, i+1 < len(epochs), p, &clusterv1.Call{Kind: &clusterv1.Call_DeadLetters{DeadLetters: deadLetters(&f, after, limit-len(page))}})
			if r == nil || json.Unmarshal(r.GetJson(), &part) != nil {
				nodes.Miss(p.name)
				continue
			}
			for i := range part {
				part[i].Node = p.name
			}
			more = r.GetMore()
			size += len(r.GetJson())
		}
		if page = append(page, part...); more {
			return page, true, nodes
		}
	}
	return page, false, nodes
}

// maxPageBytes bounds what other nodes tell for one page, but for the last of them.
const maxPageBytes = 2 << 20

// callWithin is call, with half of the time that there is if other nodes are to be
// called too.
func (d *Dispatcher) callWithin(ctx context.Context, others bool, p *peer, m *clusterv1.Call) *clusterv1.CallResult {
	if deadline, ok := ctx.Deadline(); ok && others {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return d.call(ctx, p, m)
}

// ReplayDeadLetters is as [dispatch.Dispatcher.ReplayDeadLetters], at the nodes that may
// have what is meant; their numbers are added up. nodes has those that did not answer, and
// is partial as well if one had no room for any of its own.
func (d *Dispatcher) ReplayDeadLetters(ctx context.Context, f dispatch.DeadLetterFilter) (n int, nodes sio.Coverage, err error) {
	here, peers := d.keepers(&f)
	if here {
		n, err = d.local.ReplayDeadLetters(f)
	}
	answers, nodes := d.callEach(ctx, peers, func() *clusterv1.Call {
		return &clusterv1.Call{Kind: &clusterv1.Call_Replay{Replay: deadLetters(&f, "", 0)}}
	})
	for _, a := range answers {
		n += int(a.GetAffected())
		if refused := errorOf(a.GetError()); refused != nil {
			err = refused
		}
	}
	if err != nil && n > 0 {
		nodes.Partial, err = true, nil
	}
	return n, nodes, err
}

// DeleteDeadLetters is as [dispatch.Dispatcher.DeleteDeadLetters], at the nodes that may
// have what is meant; their numbers are added up. nodes has those that did not answer.
func (d *Dispatcher) DeleteDeadLetters(ctx context.Context, f dispatch.DeadLetterFilter) (n int, nodes sio.Coverage) {
	here, peers := d.keepers(&f)
	if here {
		n = d.local.DeleteDeadLetters(f)
	}
	answers, nodes := d.callEach(ctx, peers, func() *clusterv1.Call {
		return &clusterv1.Call{Kind: &clusterv1.Call_Delete{Delete: deadLetters(&f, "", 0)}}
	})
	for _, a := range answers {
		n += int(a.GetAffected())
	}
	return n, nodes
}

// keepers returns the nodes that may have what the filter means: those that its IDs name,
// or all; here is whether this one is among them.
func (d *Dispatcher) keepers(f *dispatch.DeadLetterFilter) (here bool, peers []*peer) {
	peers = d.all()
	if len(f.IDs) == 0 {
		return true, peers
	}
	named := map[string]bool{}
	for _, id := range f.IDs {
		if len(id) >= epochLength {
			named[id[:epochLength]] = true
		}
	}
	return named[d.opts.Epoch], slices.DeleteFunc(peers, func(p *peer) bool { return !named[p.epoch] })
}
