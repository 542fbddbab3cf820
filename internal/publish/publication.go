package publish

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// maxAwaiting bounds the publications of a node that await answers; the contract
	// states it.
	maxAwaiting = 4096
	// maxAnswers bounds the answers of one publication, in bytes; the contract states it. All
	// of them are in one message, of which gRPC libraries take 4 MiB.
	maxAnswers = 3 << 20
	// maxAnswersInAll bounds those of all publications of a node that are not over.
	maxAnswersInAll = 64 << 20
	// placeLimit is how long it is awaited that nodes say whom they asked.
	placeLimit = 5 * time.Second
	// keptForAnswer is what is kept of a caller's deadline to tell it what there is by then.
	keptForAnswer = 100 * time.Millisecond
)

// ErrBusy refuses a publish that awaits answers beside too many others.
var ErrBusy = errors.New("too many answers are awaited")

// Publication is one publish, over all nodes. It is safe for concurrent use, but for Wait,
// which is to be called once.
type Publication struct {
	Request

	topics *Topics
	began  time.Time
	end    func(undone []string)
	done   chan struct{} // closed when all has come that is awaited

	mu     sync.Mutex
	parts  map[string]*part // by node
	over   bool
	bytes  int // of the answers
	result Result
}

// part is what one node has of a publication.
type part struct {
	name   string
	placed bool
	asked  []Member        // once it is placed; before that, who is to be, as far as is known
	told   map[Member]bool // of whom there is an outcome
	failed bool
}

// Begin begins a publish of a caller at this node; each node has a part of it. end is called
// when the caller has waited, with the nodes that are not done by then; it must not wait.
// Error: [ErrBusy].
func (t *Topics) Begin(r *Request, end func(undone []string)) (*Publication, error) {
	if r.Timeout > 0 && t.awaiting.Add(1) > maxAwaiting {
		t.awaiting.Add(-1)
		return nil, ErrBusy
	}
	t.publications.Add(1)
	return &Publication{Request: *r, topics: t, began: time.Now(), end: end, done: make(chan struct{}), parts: map[string]*part{}}, nil
}

// Publish is Begin where there is one node. It returns when the message is in the mailboxes.
func (t *Topics) Publish(r *Request) (*Publication, error) {
	var stop func()
	p, err := t.Begin(r, func(undone []string) {
		if len(undone) > 0 {
			stop()
		}
	})
	if err != nil {
		return nil, err
	}
	p.Add("", "", nil)
	stop = p.Here("")
	return p, nil
}

// Add adds a part: a node that is asked, by its epoch, with its name and those that it will
// ask, as far as that is known. All are to be added before any says anything.
func (p *Publication) Add(node, name string, members []Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts[node] = &part{name: name, asked: members, told: map[Member]bool{}}
}

// Here delivers to the members of this node, and returns what ends the waiting for them.
func (p *Publication) Here(node string) (stop func()) {
	asked, missing, stop := p.topics.Deliver(&p.Request, func(o Outcome) { p.Outcome(node, o) })
	p.Placed(node, asked, missing)
	return stop
}

// Placed says whom a node has asked, and who did not get the message.
func (p *Publication) Placed(node string, asked []Member, missing []Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part := p.parts[node]
	if part == nil || part.placed || part.failed || p.over {
		return
	}
	part.placed, part.asked = true, asked
	p.result.Matched += len(asked)
	p.result.Outcomes = append(p.result.Outcomes, missing...)
	p.lookLocked()
}

// Outcome says what became of one that a node has asked.
func (p *Publication) Outcome(node string, o Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part := p.parts[node]
	if part == nil || part.failed || part.told[o.Member] || p.over {
		return
	}
	part.told[o.Member] = true
	if o.Reason == Answered && !p.fitsLocked(&o) {
		o = Outcome{Member: o.Member, Reason: AnswerDropped}
	}
	p.result.Outcomes = append(p.result.Outcomes, o)
	p.lookLocked()
}

// fitsLocked reports whether there is room for an answer.
func (p *Publication) fitsLocked(o *Outcome) bool {
	size := sizeOf(len(o.Args)+len(o.Group)+len(o.ConsumerID), o.Attachments)
	if p.bytes+size > maxAnswers {
		return false
	}
	if p.topics.answerBytes.Add(int64(size)) > maxAnswersInAll {
		p.topics.answerBytes.Add(-int64(size))
		return false
	}
	p.bytes += size
	return true
}

// Fail says that a node does not answer.
func (p *Publication) Fail(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if part := p.parts[node]; part != nil && !p.over && !p.doneLocked(part) {
		p.failLocked(part)
		p.lookLocked()
	}
}

func (p *Publication) failLocked(part *part) {
	part.failed = true
	p.missLocked(part, Unreachable)
	if !slices.Contains(p.result.Unreachable, part.name) {
		p.result.Unreachable = append(p.result.Unreachable, part.name)
	}
}

// missLocked gives all of a part that nothing is known of this reason.
func (p *Publication) missLocked(part *part, r Reason) {
	for _, m := range part.asked {
		if !part.told[m] {
			p.result.Outcomes = append(p.result.Outcomes, Outcome{Member: m, Reason: r})
		}
	}
}

// doneLocked reports whether nothing more is awaited of a node.
func (p *Publication) doneLocked(part *part) bool {
	return part.failed || part.placed && (p.Timeout == 0 || len(part.told) == len(part.asked))
}

// lookLocked notes when all is there.
func (p *Publication) lookLocked() {
	for _, part := range p.parts {
		if !p.doneLocked(part) {
			return
		}
	}
	p.over = true
	close(p.done)
}

// Over reports whether all has come that is awaited: then Wait returns at once.
func (p *Publication) Over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// Wait waits until all has come that is awaited, until it began as long ago as the Timeout, or
// until over is closed or ctx's deadline is near. Who did not answer by then is TimedOut; a node that did
// not say by then whom it asked is unreachable. Error: the cause of ctx's end.
func (p *Publication) Wait(ctx context.Context, over <-chan struct{}) (Result, error) {
	defer p.release()
	limit := p.Timeout
	if limit == 0 {
		limit = placeLimit
	}
	limit -= time.Since(p.began) // others of the same caller may have been waited for since
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		limit = min(limit, max(left-keptForAnswer, left/2))
	}
	err := p.await(ctx, limit, over)
	p.end(p.giveUp())
	return p.result, err
}

func (p *Publication) await(ctx context.Context, limit time.Duration, over <-chan struct{}) error {
	select {
	case <-p.done: // as it mostly is where there is one node
		return nil
	default:
	}
	if limit <= 0 {
		return context.Cause(ctx)
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
	case <-over:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// giveUp ends the waiting, and returns the nodes that were not done.
func (p *Publication) giveUp() (undone []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	p.over = true
	for _, node := range slices.Sorted(maps.Keys(p.parts)) {
		part := p.parts[node]
		switch {
		case p.doneLocked(part):
			continue
		case part.placed:
			p.missLocked(part, TimedOut)
		default:
			p.failLocked(part)
		}
		undone = append(undone, node)
	}
	return undone
}

// release makes room for others.
func (p *Publication) release() {
	if p.Timeout > 0 {
		p.topics.awaiting.Add(-1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.topics.answerBytes.Add(-int64(p.bytes))
}
