package cluster

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Who is blocked every node knows for itself. What is changed at one it tells the others at
// once; what one has missed all the same it pulls, from each peer when they meet, when the
// peer answers again, and from time to time. That it has not answered for a while it may
// not know itself, if it was paused: then the peer says so.

const (
	// pullEvery is how often a peer is asked whether it knows something else.
	pullEvery = time.Minute
	// pullAgain is when it is asked once more after a failure.
	pullAgain = 5 * time.Second
	// blocksPage is how many entries one answer holds, and blocksBytes about how many bytes:
	// many, since each answer is a transaction on the disk of who asks.
	blocksPage  = 2000
	blocksBytes = 256 << 10
)

// Block blocks somebody at all nodes: Matched counts the connections that were ended. Those
// that did not confirm it, or cannot keep it, are in Unreachable. Errors are those of
// [blocks.Keeper.Block], and nothing was done then.
func (n *Node) Block(ctx context.Context, c blocks.Change) (result sio.Result, err error) {
	entries, ended, err := n.opts.Blocks.Block(c)
	if err != nil {
		return result, err
	}
	result.Matched = ended
	n.tellBlocks(ctx, entries, &result, func(m *clusterv1.Result) { result.Matched += int(m.GetMatched()) })
	return result, nil
}

// Unblock lifts blocks at all nodes: Matched counts those that were in force, here or at
// the node where most were. Otherwise it is as Block.
func (n *Node) Unblock(ctx context.Context, c blocks.Change) (result sio.Result, err error) {
	entries, lifted, err := n.opts.Blocks.Unblock(c)
	if err != nil {
		return result, err
	}
	result.Matched = lifted
	n.tellBlocks(ctx, entries, &result, func(m *clusterv1.Result) { result.Matched = max(result.Matched, int(m.GetLifted())) })
	return result, nil
}

// tellBlocks tells the peers what has changed, and calls add with what each did.
func (n *Node) tellBlocks(ctx context.Context, entries []blocks.Entry, result *sio.Result, add func(*clusterv1.Result)) {
	m := &clusterv1.Message{Body: &clusterv1.Message_BlockEntries{BlockEntries: &clusterv1.BlockEntries{Entries: fromEntries(entries)}}}
	err := n.askAll(ctx, n.all(), m, func(p *peer, a *clusterv1.Answer) {
		add(a.GetResult())
		if a == nil || a.GetCode() != clusterv1.Answer_OK {
			n.unreachable(&result.Coverage, p.name)
			p.pullBothWays() // it may know something later, and what is done next is to come after that
		}
	})
	if err != nil { // text that no message can hold
		n.log.Error("other nodes cannot be told who is blocked", "error", err)
		for _, p := range n.all() {
			n.unreachable(&result.Coverage, p.name)
		}
	}
}

// BlockPage returns a page of who is blocked here, as [blocks.Table.Page], and names the
// nodes that do not answer now.
func (n *Node) BlockPage(f blocks.Filter, after *blocks.Subject, limit int) (page []blocks.Entry, next *blocks.Subject, nodes sio.Coverage) {
	page, next = n.opts.Blocks.Page(f, after, limit)
	for _, p := range n.all() {
		if p.suspected.Load() {
			n.unreachable(&nodes, p.name)
		}
	}
	return page, next, nodes
}

// BlockedUser reports whether a user is blocked here.
func (n *Node) BlockedUser(name string) bool { return n.opts.Blocks.User(name) }

// serveBlocks takes what a peer tells of who is blocked. It may have to be written to a
// disk, so it goes on by itself: the order in which such messages are read does not matter.
func (n *Node) serveBlocks(p *peer, request uint64, m *clusterv1.BlockEntries) {
	n.besides(p, request, func() *clusterv1.Answer {
		entries, err := toEntries(m)
		if err != nil {
			return &clusterv1.Answer{Code: clusterv1.Answer_UNSUPPORTED}
		}
		ended, lifted, err := n.opts.Blocks.Take(entries)
		a := &clusterv1.Answer{Kind: &clusterv1.Answer_Result{Result: &clusterv1.Result{Matched: count(ended), Lifted: count(lifted)}}}
		if err != nil { // which is in the log, or something later is known
			a.Code = clusterv1.Answer_INTERNAL
		}
		return a
	})
}

// servePull answers what a peer may not know.
func (n *Node) servePull(p *peer, request uint64, m *clusterv1.BlockPull) {
	if m.GetBothWays() {
		p.pullNow() // and not both ways again: that would never end
	}
	n.besides(p, request, func() *clusterv1.Answer {
		var after *blocks.Subject
		if key := m.GetAfter(); key != "" {
			s, err := blocks.SubjectOf(key)
			if err != nil {
				return &clusterv1.Answer{Code: clusterv1.Answer_UNSUPPORTED}
			}
			after = &s
		}
		digest := blocks.DigestOf(m.GetDigest())
		answer := pageOf(n.opts.Blocks.Difference(&digest, after, blocksPage))
		return &clusterv1.Answer{Kind: &clusterv1.Answer_Blocks{Blocks: answer}}
	})
}

// pageOf is a page of entries as far as it is no larger than answers are to be; next is behind
// its last, nil: there are no more.
func pageOf(page []blocks.Entry, next *blocks.Subject) *clusterv1.BlockEntries {
	m := &clusterv1.BlockEntries{Entries: fromEntries(page)}
	size := 0
	for i, e := range m.GetEntries() {
		if size += proto.Size(e); size > blocksBytes && i > 0 {
			m.Entries, next = m.GetEntries()[:i], &page[i-1].Subject
			break
		}
	}
	if next != nil {
		m.Next = next.Key()
	}
	return m
}

// besides answers a request about blocks beside what else is going on.
func (n *Node) besides(p *peer, request uint64, answer func() *clusterv1.Answer) {
	if n.opts.Blocks == nil {
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_UNSUPPORTED})
		return
	}
	select {
	case p.slots <- struct{}{}:
	default:
		p.answer(request, &clusterv1.Answer{Code: clusterv1.Answer_BUSY})
		return
	}
	n.serving.Go(func() {
		defer func() { <-p.slots }()
		p.answer(request, answer())
	})
}

// pullBlocks keeps up with what the peer knows, until it is gone.
func (p *peer) pullBlocks() {
	n := p.node
	if !n.begun() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n.serving.Go(func() {
		<-p.gone
		cancel()
	})
	for {
		wait, bothWays := pullEvery, p.bothWays.Swap(false)
		if err := n.pullFrom(ctx, p, bothWays); err == nil {
			p.pulled.Store(true)
		} else {
			wait = pullAgain
			if bothWays {
				p.bothWays.Store(true)
			}
		}
		select {
		case <-p.gone:
			return
		case <-p.returned:
		case <-time.After(wait):
		}
	}
}

// pullNow has pullBlocks pull, if the peer answers.
func (p *peer) pullNow() {
	select {
	case p.returned <- struct{}{}:
	default:
	}
}

// pullBothWays is pullNow, and has the peer pull too.
func (p *peer) pullBothWays() {
	p.bothWays.Store(true)
	p.pullNow()
}

// pullFrom takes what a peer knows and this node does not; bothWays: and the other way round. A
// peer of an older version knows nothing.
func (n *Node) pullFrom(ctx context.Context, p *peer, bothWays bool) error {
	mine := n.opts.Blocks.Digest()
	pull := &clusterv1.BlockPull{Digest: mine.Sparse(), BothWays: bothWays}
	for {
		a, err := n.askOne(ctx, p, &clusterv1.Message{Body: &clusterv1.Message_BlockPull{BlockPull: pull}})
		if err != nil {
			if a.GetCode() == clusterv1.Answer_UNSUPPORTED {
				return nil
			}
			return err
		}
		entries, err := toEntries(a.GetBlocks())
		if err != nil {
			n.log.Error("a node tells of a block that cannot be read", "node", p.name, "error", err)
			return nil // asking once more would not help
		}
		_, _, _ = n.opts.Blocks.Take(entries) // the latest is in force in any case; what else went wrong it has logged
		n.blockPages.Add(1)
		pull.BothWays = false
		if pull.After = a.GetBlocks().GetNext(); pull.After == "" {
			return nil
		}
	}
}

// errNoBlocksCome is what BlocksSynced ends with.
var errNoBlocksCome = errors.New("no node tells who is blocked")

// BlocksSynced waits until it is known who is blocked at every peer that is there and
// answers, and at one at least if there are any: each knows of all. Before, nobody may be
// let in. It takes as long as it takes while something comes. Error: the cause of ctx's
// end, or that nothing has come for as long as patience.
func (n *Node) BlocksSynced(ctx context.Context, patience time.Duration) error {
	pages, since := n.blockPages.Load(), time.Now()
	for {
		if now := n.blockPages.Load(); now != pages {
			pages, since = now, time.Now()
		} else if time.Since(since) >= patience {
			return errNoBlocksCome
		}
		missing, known, peers := false, false, n.all()
		for _, p := range peers {
			missing = missing || !p.pulled.Load() && !p.suspected.Load()
			known = known || p.pulled.Load()
		}
		if !missing && (known || len(peers) == 0) {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func fromEntries(entries []blocks.Entry) []*clusterv1.BlockEntries_Entry {
	list := make([]*clusterv1.BlockEntries_Entry, len(entries))
	for i := range entries {
		e := &entries[i]
		list[i] = &clusterv1.BlockEntries_Entry{
			User: e.User, Time: e.Stamp.Time, Node: e.Stamp.Node, Blocked: e.Blocked, Until: fromTime(e.Until), Reason: e.Reason, Caller: e.Caller,
		}
		if e.Prefix.IsValid() {
			list[i].Prefix = e.Prefix.String()
		}
	}
	return list
}

func toEntries(m *clusterv1.BlockEntries) (entries []blocks.Entry, err error) {
	entries = make([]blocks.Entry, len(m.GetEntries()))
	for i, e := range m.GetEntries() {
		entries[i] = blocks.Entry{
			Subject: blocks.Subject{User: e.GetUser()}, Stamp: blocks.Stamp{Time: e.GetTime(), Node: e.GetNode()},
			Blocked: e.GetBlocked(), Until: toTime(e.GetUntil()), Reason: e.GetReason(), Caller: e.GetCaller(),
		}
		if e.GetUser() == "" {
			if entries[i].Prefix, err = blocks.ParsePrefix(e.GetPrefix()); err != nil {
				return nil, err
			}
		}
	}
	return entries, nil
}
