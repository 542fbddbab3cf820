package consumers

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// Somebody who watches at one node sees what browsers do at all. Its node asks each other
// for what there is to see, again and again, so that nothing is on its way that was not
// asked for; what the others have to show in between they keep as for a watcher of their
// own, and drop what is too much.

const (
	// watchWait is how long a node that has nothing to show waits for something.
	watchWait = 2 * time.Second
	// watchIdle ends a watch that nobody asks for.
	watchIdle = 15 * time.Second
	// watchAgain is when a node that did not answer is asked again.
	watchAgain = time.Second
	// watchEvents and watchBytes bound what is shown at once.
	watchEvents = 256
	watchBytes  = 256 << 10
)

// Tail is a [dispatch.Tail] over all nodes.
type Tail struct {
	*dispatch.Tail
	d      *Dispatcher
	number uint64
	filter []byte
	over   chan struct{}
	once   sync.Once

	mu   sync.Mutex
	away map[*peer]bool // that do not answer
}

// Tail starts to watch what browsers do at all nodes; [Tail.Stop] ends it. The watch has
// begun, when it returns, at every node that answers within two seconds.
func (d *Dispatcher) Tail(f dispatch.TailFilter) (*Tail, error) {
	filter, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	local, err := d.local.Tail(f)
	if err != nil {
		return nil, err
	}
	t := &Tail{Tail: local, d: d, filter: filter, over: make(chan struct{}), away: map[*peer]bool{}}
	d.mu.Lock()
	d.number++
	t.number = d.number
	d.tails[t] = true
	peers := d.peersLocked()
	d.mu.Unlock()
	begun := make(chan struct{}, len(peers))
	for _, p := range peers {
		t.watch(p, begun)
	}
	late := time.NewTimer(watchWait)
	defer late.Stop()
	for range peers {
		select {
		case <-begun:
		case <-late.C:
			return t, nil
		}
	}
	return t, nil
}

// Stop ends the Tail. Events is not closed.
func (t *Tail) Stop() {
	t.once.Do(func() {
		close(t.over)
		t.d.mu.Lock()
		delete(t.d.tails, t)
		t.d.mu.Unlock()
		t.Tail.Stop()
	})
}

// Unreachable names the nodes that do not answer at present.
func (t *Tail) Unreachable() (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.away {
		names = append(names, p.name)
	}
	return names
}

// answers notes whether a peer does.
func (t *Tail) answers(p *peer, does bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if does {
		delete(t.away, p)
	} else {
		t.away[p] = true
	}
}

// watch shows what browsers do at a peer, until that is gone or the Tail ends. begun, which
// may be nil, receives when the peer has been asked for the first time.
func (t *Tail) watch(p *peer, begun chan<- struct{}) {
	t.d.running.Go(func() {
		defer t.answers(p, true) // it is no node any more
		for begin := true; !t.ended(p, 0); begin = false {
			r := t.ask(p, begin)
			if begin && begun != nil {
				begun <- struct{}{}
			}
			t.answers(p, r != nil && r.GetError() == "")
			if r == nil || r.GetError() != "" {
				if t.ended(p, watchAgain) {
					break
				}
				continue
			}
			t.Miss(r.GetDropped())
			for _, m := range r.GetEvents() {
				if e, err := toEvent(m); err == nil {
					t.Offer(e)
				}
			}
		}
		p.post(&clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_Call{Call: &clusterv1.Call{Kind: &clusterv1.Call_StopWatch{StopWatch: t.number}}}})
	})
}

// ask asks a peer for what there is to see.
func (t *Tail) ask(p *peer, begin bool) *clusterv1.CallResult {
	ctx, cancel := t.d.answerTime(context.Background())
	defer cancel()
	return t.d.call(ctx, p, &clusterv1.Call{Kind: &clusterv1.Call_Watch{Watch: &clusterv1.Watch{Number: t.number, Filter: t.filter, Begin: begin}}})
}

// ended reports whether there is nothing more to be watched, now or after a while.
func (t *Tail) ended(p *peer, after time.Duration) bool {
	if after > 0 {
		late := time.NewTimer(after)
		defer late.Stop()
		select {
		case <-t.over:
		case <-p.gone:
		case <-t.d.ended:
		case <-late.C:
		}
	}
	select {
	case <-t.over:
	case <-p.gone:
	case <-t.d.ended:
	default:
		return false
	}
	return true
}

// watched is what a watcher at another node is shown of this one.
type watched struct {
	tail *dispatch.Tail
	idle *time.Timer // ends it

	turn chan struct{} // holds one: a request is being answered, and has the following
	told uint64        // of those that were dropped
}

// serveWatch answers with what there is to see, when there is something.
func (p *peer) serveWatch(m *clusterv1.Watch, r *clusterv1.CallResult) error {
	w, err := p.watched(m)
	if err != nil {
		return err
	}
	w.idle.Reset(watchIdle)
	if m.GetBegin() {
		return nil // what there is to see comes with the next answer
	}
	late := time.NewTimer(watchWait)
	defer late.Stop()
	select { // the one before may have been given up
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-late.C:
		return nil
	}
	for size := 0; len(r.Events) < watchEvents && size < watchBytes; {
		var e *dispatch.Event
		if len(r.Events) == 0 {
			select {
			case e = <-w.tail.Events():
			case <-late.C:
			case <-p.gone:
			case <-p.d.ended:
			}
		} else {
			select {
			case e = <-w.tail.Events():
			default:
			}
		}
		if e == nil {
			break
		}
		event, err := fromEvent(e, false, dispatch.ViewFull)
		w.tail.Took(e)
		if err != nil {
			return err
		}
		size += sizeOf(event)
		r.Events = append(r.Events, event)
	}
	dropped := w.tail.Dropped()
	r.Dropped, w.told = dropped-w.told, dropped
	return nil
}

// watched returns the peer's watch with this number, which begins with the first request.
func (p *peer) watched(m *clusterv1.Watch) (*watched, error) {
	p.mu.Lock()
	w := p.watches[m.GetNumber()]
	p.mu.Unlock()
	if w != nil {
		return w, nil
	}
	var f dispatch.TailFilter
	if err := json.Unmarshal(m.GetFilter(), &f); err != nil {
		return nil, err
	}
	tail, err := p.d.local.Tail(f)
	if err != nil {
		return nil, err
	}
	w = &watched{tail: tail, turn: make(chan struct{}, 1), idle: time.AfterFunc(watchIdle, func() { p.stopWatch(m.GetNumber()) })}
	kept := p.keepWatch(m.GetNumber(), w)
	if kept != w {
		w.stop()
	}
	return kept, nil
}

// keepWatch keeps a watch, and returns the one that there is. One of a peer that is gone
// ends by itself.
func (p *peer) keepWatch(number uint64, w *watched) *watched {
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.watches[number]; other != nil {
		return other
	}
	p.watches[number] = w
	return w
}

func (w *watched) stop() {
	w.idle.Stop()
	w.tail.Stop()
}

// stopWatch ends a watch of the peer's.
func (p *peer) stopWatch(number uint64) {
	p.mu.Lock()
	w := p.watches[number]
	delete(p.watches, number)
	p.mu.Unlock()
	if w != nil {
		w.stop()
	}
}

// stopWatches ends all.
func (p *peer) stopWatches() {
	p.mu.Lock()
	all := p.watches
	p.watches = map[uint64]*watched{}
	p.mu.Unlock()
	for _, w := range all {
		w.stop()
	}
}
