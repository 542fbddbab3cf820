package cli

import (
	"context"
	"math"
	"time"

	"github.com/spf13/cobra"
)

// leastInterval is how often a view is renewed at most: each time asks all nodes.
const leastInterval = 100 * time.Millisecond

func (a *app) top() *cobra.Command {
	var interval time.Duration
	var once, slow bool
	c := a.command("top [flags]", "Show live what the daemon and its cluster do",
		`Shows how many connections there are, how many events come and go a second, what waits, and below
it the groups of consumers and the nodes, until q, Esc or Ctrl-C. s shows the connections for which
something waits, and s again what was before. Where the output is no terminal, and with --once or
--json, it looks twice, an interval apart, and shows what it has seen.

EVENTS IN are those of browsers; of EVENTS OUT there is one for each connection that an emit reached,
and FAN-OUT is how long an emit takes until it is queued for all of them. QUEUED is what waits to be
written to browsers. LAG is how long the oldest event has waited for a consumer; WAITING how many
do. It wants a key with the scopes admin and read.`,
		"  fanoutd top\n  fanoutd top --interval 10s --slow\n  fanoutd top --json",
		cobra.NoArgs, func(r *run, _ []string) error {
			if interval < leastInterval {
				return usagef("--interval %s: it has to be %s at least", interval, leastInterval)
			}
			t := &top{run: r, interval: interval, slow: slow, sampler: sampler{run: r}}
			if once || r.json || r.out.terminal == nil {
				return t.once()
			}
			return t.show()
		})
	c.Flags().DurationVar(&interval, "interval", 2*time.Second, "renew it so `OFTEN`")
	c.Flags().BoolVar(&once, "once", false, "show it once, and end")
	c.Flags().BoolVar(&slow, "slow", false, "begin with the connections for which something waits")
	return c
}

// top is a view of the daemon and its cluster. It belongs to the goroutine that shows it, but
// for the sampler.
type top struct {
	*run
	interval time.Duration
	live     bool    // is a page of a terminal, for which there are keys
	slow     bool    // shows slow connections
	sampler  sampler // of the goroutine that takes a sample

	last  *sample // without an error; nil: there is none yet
	rates rates
	err   error // of the last sample; nil: there was none
}

// take shows s from now on.
func (t *top) take(s *sample) {
	if t.err = s.err; t.err != nil {
		return
	}
	t.rates.add(s)
	t.last = s
}

// once shows what two samples have seen, as JSON or as lines.
func (t *top) once() error {
	if t.take(t.sampler.sample(t.ctx, 0)); t.err != nil {
		return t.err
	}
	if !t.wait() {
		return t.ctx.Err()
	}
	pages := 0
	if t.slow {
		pages = maxScan
	}
	if t.take(t.sampler.sample(t.ctx, pages)); t.err != nil {
		return t.err
	}
	t.missed(t.last.unreachable)
	if t.json {
		return t.object()
	}
	for _, l := range t.page(time.Now(), math.MaxInt, math.MaxInt) {
		if err := t.out.line("%s", l.text); err != nil {
			return err
		}
	}
	return nil
}

// wait waits for the interval; false: a signal has ended it.
func (t *top) wait() bool {
	timer := time.NewTimer(t.interval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// show shows samples as they come, until a key or a signal ends it. What the daemon fails
// with is shown, and the next sample may be better.
func (t *top) show() error {
	t.live = true
	s, err := openScreen(t.out.terminal, t.out.bold)
	if err != nil {
		return err
	}
	defer s.close()
	sizes, stop := resized()
	defer stop()
	ctx, cancel := context.WithCancel(t.ctx)
	samples := make(chan *sample)
	sampling := false
	defer func() {
		if cancel(); sampling {
			<-samples
		}
	}()
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		width, height := s.size()
		if err := s.show(width, height, t.page(time.Now(), width, height)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-sizes:
		case <-due.C:
			if sampling {
				continue
			}
			sampling = true
			pages := 0
			if t.slow {
				pages = scanAtOnce
			}
			go func() {
				defer s.guard()
				samples <- t.sampler.sample(ctx, pages)
			}()
		case taken := <-samples:
			sampling = false
			t.take(taken)
			due.Reset(t.interval)
		case k, ok := <-s.keys:
			if !ok {
				s.keys = nil // its terminal is gone, of which a signal tells
				continue
			}
			switch k {
			case 'q', 'Q', keyEscape, keyCtrlC:
				return nil
			case 's', 'S':
				t.slow = !t.slow
				due.Reset(0)
			}
		}
	}
}
