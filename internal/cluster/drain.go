package cluster

import (
	"context"
	"slices"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Drain begins the drain of the peer of this name, unless it has begun, and calls yield as
// [drain.Drain.Follow] does. The peer's drain goes on whatever becomes of the caller.
// Errors: ctx's cause, yield's, [sio.ErrNotFound] if there is no such peer, and
// [sio.UnreachableError] if it does not answer, or cannot be drained.
func (n *Node) Drain(ctx context.Context, name string, o drain.Overrides, yield func(drain.Progress) error) error {
	p := n.named(name)
	if p == nil {
		return sio.ErrNotFound
	}
	var at drain.Progress
	for at.Phase != drain.Done {
		a, err := n.askOne(ctx, p, &clusterv1.Message{Body: &clusterv1.Message_Drain{Drain: fromOverrides(o, at.Phase)}})
		switch {
		case err == nil:
			at = toProgress(a.GetDrain())
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case at.Phase != drain.Serving && n.leaves(ctx, p): // which it does when it is done
			at.Phase, at.Sessions, at.Connections = drain.Done, 0, 0
		default:
			return &sio.UnreachableError{Node: name}
		}
		if err := yield(at); err != nil {
			return err
		}
	}
	return nil
}

// leaves reports whether a peer that does not answer has said goodbye, which may be about
// to be known here. One that is gone for another reason has not: it died, and one of its
// name is there; or this node leaves.
func (n *Node) leaves(ctx context.Context, p *peer) bool {
	ctx, cancel := n.answerTime(ctx)
	defer cancel()
	if p.suspected.Load() {
		return false
	}
	select {
	case <-p.gone:
		return p.left.Load()
	case <-ctx.Done():
		return false
	}
}

// named returns the peer with this name, or nil: of two, the one that answers.
func (n *Node) named(name string) (found *peer) {
	for _, p := range n.all() {
		if p.name == name && (found == nil || found.suspected.Load()) {
			found = p
		}
	}
	return found
}

// serveDrain begins the drain, unless it has begun, and answers how far it is.
func (n *Node) serveDrain(p *peer, request uint64, m *clusterv1.NodeDrain) {
	d := n.opts.Drain
	if d == nil {
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_UNSUPPORTED})
		return
	}
	if m.GetSeen() == 0 || !p.goesOn() {
		select {
		case p.awaited <- struct{}{}:
		default:
			p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
			return
		}
	}
	if d.Begin(toOverrides(m)) {
		n.log.Info("another node asks for the drain of this one", "node", p.name)
	}
	n.serving.Go(func() {
		at := n.awaitPhase(p, d, drain.Phase(m.GetSeen()))
		if at.Phase == drain.Done {
			defer func() { <-p.awaited }()
		} else {
			p.awaitFollower() // before it has the answer
		}
		p.answer(request, &clusterv1.Answer{Kind: &clusterv1.Answer_Drain{Drain: fromProgress(&at)}})
	})
}

// followWait is how long a peer that is told of a phase may take to ask for the next.
const followWait = time.Second

// awaitFollower keeps a place of awaited for the next question of a peer that follows the
// drain, as long as that may take: else this node could leave between two of them, and the
// peer would not hear that it is done.
func (p *peer) awaitFollower() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var t *time.Timer
	t = time.AfterFunc(followWait, func() {
		p.mu.Lock()
		i := slices.Index(p.followers, t)
		if i >= 0 {
			p.followers = slices.Delete(p.followers, i, i+1)
		}
		p.mu.Unlock()
		if i >= 0 {
			<-p.awaited
		}
	})
	p.followers = append(p.followers, t)
}

// goesOn takes over the place that was kept for a question, if one is.
func (p *peer) goesOn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.followers) == 0 {
		return false
	}
	p.followers[0].Stop()
	p.followers = slices.Delete(p.followers, 0, 1)
	return true
}

// awaitPhase returns how far the drain is once it has a later phase than the peer has seen,
// and at the latest when those who follow a drain are to be told again.
func (n *Node) awaitPhase(p *peer, d *drain.Drain, seen drain.Phase) drain.Progress {
	at, changed := d.Progress()
	if at.Phase > seen {
		return at
	}
	timer := time.NewTimer(drain.Every)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-p.gone:
	case <-n.ended:
	}
	at, _ = d.Progress()
	return at
}

func fromOverrides(o drain.Overrides, seen drain.Phase) *clusterv1.NodeDrain {
	return &clusterv1.NodeDrain{Delay: (*int64)(o.Delay), Time: (*int64)(o.Time), Seen: int32(seen)} //nolint:gosec // a small enum
}

func toOverrides(m *clusterv1.NodeDrain) drain.Overrides {
	return drain.Overrides{Delay: (*time.Duration)(m.Delay), Time: (*time.Duration)(m.Time)}
}

func fromProgress(at *drain.Progress) *clusterv1.DrainProgress {
	return &clusterv1.DrainProgress{
		Phase: int32(at.Phase), Elapsed: int64(at.Elapsed), Delay: int64(at.Plan.Delay), Time: int64(at.Plan.Time), //nolint:gosec // a small enum
		Sessions: count(at.Sessions), Connections: count(at.Connections), Closed: count(at.Closed),
	}
}

func toProgress(m *clusterv1.DrainProgress) drain.Progress {
	return drain.Progress{
		Phase: drain.Phase(m.GetPhase()), Elapsed: time.Duration(m.GetElapsed()),
		Plan:   drain.Plan{Delay: time.Duration(m.GetDelay()), Time: time.Duration(m.GetTime())},
		Counts: drain.Counts{Sessions: int(m.GetSessions()), Connections: int(m.GetConnections()), Closed: int(m.GetClosed())},
	}
}
