package drain

import (
	"context"
	"sync"
	"time"
)

// Phase is how far a drain is. Each follows the one before.
type Phase int

const (
	// Serving: nobody has begun a drain.
	Serving Phase = iota
	// NotReady: readiness and health say no, so that balancers send new clients elsewhere;
	// everybody is served as before.
	NotReady
	// Closing: new sessions are refused, those that there are closed one after the other.
	Closing
	// Consumers: no session is left. Consumers settle what waits, and connections whose
	// clients have not come back move to other nodes.
	Consumers
	// Done: nothing is left to wait for; streams end, and so does the process.
	Done
)

// Plan is how long the first phases take.
type Plan struct {
	Delay time.Duration // of NotReady
	Time  time.Duration // of Closing: over this long sessions are closed, evenly
}

// Overrides are what somebody wants to be otherwise than a node's settings say. Nil: as
// they say.
type Overrides struct {
	Delay, Time *time.Duration
}

// Apply returns the plan with what the overrides say.
func (o Overrides) Apply(p Plan) Plan {
	if o.Delay != nil {
		p.Delay = *o.Delay
	}
	if o.Time != nil {
		p.Time = *o.Time
	}
	return p
}

// Counts are what a node has.
type Counts struct {
	Sessions    int // that are open
	Connections int // in all namespaces
	Closed      int // sessions that the drain has closed
}

// Progress is how far a drain is at one moment.
type Progress struct {
	Phase   Phase
	Plan    Plan // that is followed
	Elapsed time.Duration
	Counts
}

// Drain is the end of one node, which comes once. Make it with [New]; it is safe for
// concurrent use.
type Drain struct {
	settings Plan
	counts   func() Counts
	notReady func()
	begun    chan struct{} // closed by the first Begin

	mu      sync.Mutex
	phase   Phase
	plan    Plan
	since   time.Time
	changed chan struct{} // closed, and replaced, when the phase changes
}

// New returns the drain of a node whose settings say this. counts is called from several
// goroutines at once, under no lock. notReady has readiness and health say no; the first
// Begin calls it before anybody can see the phase, under the lock of the drain, of which it
// may ask nothing.
func New(settings Plan, counts func() Counts, notReady func()) *Drain {
	return &Drain{settings: settings, counts: counts, notReady: notReady, begun: make(chan struct{}), changed: make(chan struct{})}
}

// Begin begins the drain, unless it has begun: then the first plan stays, and Begin
// reports false.
func (d *Drain) Begin(o Overrides) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != Serving {
		return false
	}
	d.notReady()
	d.plan, d.since = o.Apply(d.settings), time.Now()
	d.enterLocked(NotReady)
	close(d.begun)
	return true
}

// Begun is closed when the drain has begun.
func (d *Drain) Begun() <-chan struct{} { return d.begun }

// Enter says that a phase has begun. It never goes back.
func (d *Drain) Enter(p Phase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enterLocked(p)
}

func (d *Drain) enterLocked(p Phase) {
	if p <= d.phase {
		return
	}
	d.phase = p
	close(d.changed)
	d.changed = make(chan struct{})
}

// Phase returns the phase.
func (d *Drain) Phase() Phase {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.phase
}

// Progress returns how far the drain is, and what is closed when the phase changes.
func (d *Drain) Progress() (Progress, <-chan struct{}) {
	d.mu.Lock()
	p := Progress{Phase: d.phase, Plan: d.plan}
	if d.phase != Serving {
		p.Elapsed = time.Since(d.since)
	}
	changed := d.changed
	d.mu.Unlock()
	p.Counts = d.counts()
	return p, changed
}

// Every is how often those who follow a drain are told at least.
const Every = time.Second

// Follow calls yield at once, whenever the phase changes, and every second, until the drain
// is Done. It returns ctx's cause, or yield's error, if that comes first. Phases that pass
// while yield takes its time are left out, but for the last.
func (d *Drain) Follow(ctx context.Context, yield func(Progress) error) error {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		p, changed := d.Progress()
		if err := yield(p); err != nil || p.Phase == Done {
			return err
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
