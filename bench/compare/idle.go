package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// idleFigures are what connections cost that have nothing to say, in the order of the
// table.
var idleFigures = []string{
	idleMemory,
	idleHeap,
	idleCPU,
	loadedMemory,
	settledMemory,
	settledHeap,
}

const (
	idleMemory    = "resident memory of a connection, KiB"
	idleHeap      = "live heap of a connection, KiB"
	idleCPU       = "CPU of an idle connection, us/s"
	loadedMemory  = "resident memory 2 s after load, KiB"
	settledMemory = "resident memory 30 s after load, KiB"
	settledHeap   = "live heap after load, KiB"
)

const (
	// pingInterval is what all servers have by default.
	pingInterval = 25 * time.Second
	// idleFor is how long connections are watched that nobody sends to: whole intervals,
	// so that each has as many pings.
	idleFor = 3 * pingInterval
)

// idle measures one server after another, once, and prints what a connection costs
// before, during and after it was sent anything. It reports whether fanoutd and another
// were measured.
func idle(ctx context.Context, out io.Writer, all []*contestant, clients int, window time.Duration) bool {
	measured := map[string]map[string]float64{}
	for _, c := range all {
		if c.notRun != nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "%d idle connections: %s\n", clients, c.name)
		figures, err := measureIdle(ctx, c.start, clients, window)
		if err != nil {
			c.notRun = fmt.Errorf("%d idle connections: %w", clients, err)
			continue
		}
		measured[c.name] = figures
	}
	all = slices.DeleteFunc(slices.Clone(all), func(c *contestant) bool { return c.notRun != nil })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "figure\t")
	for _, c := range all {
		fmt.Fprintf(w, "%s\t", c.name)
	}
	fmt.Fprintln(w)
	for _, f := range idleFigures {
		fmt.Fprintf(w, "%s\t", f)
		for _, c := range all {
			if v, ok := measured[c.name][f]; ok {
				fmt.Fprintf(w, "%.2f\t", v)
			} else {
				fmt.Fprint(w, "-\t")
			}
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	return len(all) > 1 && measured["fanoutd"] != nil
}

// measureIdle takes the idle figures of one server.
func measureIdle(ctx context.Context, start func(context.Context) (*peer, error), clients int, window time.Duration) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute+10*window)
	defer cancel()
	p, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	m := &measurement{peer: p, out: map[string]float64{}}
	defer m.close()
	empty, err := takeMemory(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := m.connectSpread(ctx, clients); err != nil {
		return nil, err
	}
	if err := m.peer.joined(ctx); err != nil {
		return nil, err
	}
	each := func(n int64) float64 { return float64(n) / 1024 / float64(clients) }
	if err := pause(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	has, err := takeMemory(ctx, p)
	if err != nil {
		return nil, err
	}
	m.out[idleMemory] = each(has.resident - empty.resident)
	if p.heap != nil {
		m.out[idleHeap] = each(has.heap - empty.heap)
	}

	used, err := cpu([]int{p.daemon})
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := pause(ctx, idleFor); err != nil {
		return nil, err
	}
	now, err := cpu([]int{p.daemon})
	if err != nil {
		return nil, err
	}
	m.out[idleCPU] = micros(now-used) / time.Since(began).Seconds() / float64(clients)

	if err := m.fanOut(ctx, window); err != nil {
		return nil, err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	loaded, err := rss(p.daemon)
	if err != nil {
		return nil, err
	}
	m.out[loadedMemory] = each(loaded - empty.resident)
	if err := pause(ctx, 28*time.Second); err != nil {
		return nil, err
	}
	if has, err = takeMemory(ctx, p); err != nil {
		return nil, err
	}
	m.out[settledMemory] = each(has.resident - empty.resident)
	if p.heap != nil {
		m.out[settledHeap] = each(has.heap - empty.heap)
	}
	return m.out, nil
}

// memory is what a server has, in bytes.
type memory struct {
	resident int64
	heap     int64 // after a collection; 0: it does not tell
}

// takeMemory asks for the heap last, as that may change what is resident.
func takeMemory(ctx context.Context, p *peer) (m memory, err error) {
	if m.resident, err = rss(p.daemon); err == nil && p.heap != nil {
		m.heap, err = p.heap(ctx)
	}
	return m, err
}

// connectSpread opens n connections evenly over one ping interval, so that their pings
// are spread as those of browsers are, which come when they like.
func (m *measurement) connectSpread(ctx context.Context, n int) error {
	m.clients = make([]*client, n)
	const dialers = 8
	began := time.Now()
	errs := make([]error, dialers)
	var dialling sync.WaitGroup
	for worker := range dialers {
		dialling.Go(func() {
			for i := worker; i < n; i += dialers {
				due := began.Add(pingInterval * time.Duration(i) / time.Duration(n))
				err := pause(ctx, time.Until(due))
				if err == nil {
					m.clients[i], err = dial(ctx, m.peer.addresses[i%len(m.peer.addresses)])
				}
				if err != nil {
					errs[worker] = err
					return
				}
				go m.clients[i].listen(&m.events, nil)
			}
		})
	}
	dialling.Wait()
	for _, err := range errs {
		if err != nil {
			m.clients = slices.DeleteFunc(m.clients, func(c *client) bool { return c == nil })
			return err
		}
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
