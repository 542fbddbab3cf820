package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// figures are what is measured, in the order of the table.
var figures = []struct{ name string }{
	{"CPU of a handshake, us"},
	{"memory of an idle connection, KiB"},
	{"CPU of a delivery, one emit at a time, us"},
	{"CPU of a delivery, 32 emits at a time, us"},
	{"time of a delivery, p50, ms"},
	{"time of a delivery, p99, ms"},
	{"emits that all have, 32 at a time, 1/s"},
	{"round trips of 64 clients, 1/s"},
	{"CPU of a round trip, us"},
	{"round trip of one client, p50, us"},
	{"round trip of one client, p99, us"},
}

// measure takes all figures of one peer, those of round trips only if asked to.
func measure(ctx context.Context, start func(context.Context) (*peer, error), clients int, window time.Duration, roundTrips bool) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute+10*window)
	defer cancel()
	p, err := start(ctx)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	m := &measurement{peer: p, out: map[string]float64{}}
	defer m.close()
	if err := m.connect(ctx, clients); err != nil {
		return nil, err
	}
	if err := m.fanOut(ctx, window); err != nil {
		return nil, err
	}
	if roundTrips {
		if err := m.roundTrips(ctx, window); err != nil {
			return nil, err
		}
	}
	return m.out, nil
}

type measurement struct {
	peer    *peer
	out     map[string]float64
	clients []*client
	events  atomic.Int64

	mu      sync.Mutex
	latency []time.Duration // of the deliveries that were sampled
}

func (m *measurement) close() {
	for _, c := range m.clients {
		c.conn.Close()
	}
}

// connect opens all clients, eight at a time.
func (m *measurement) connect(ctx context.Context, n int) error {
	before, err := rss(m.peer.daemon)
	if err != nil {
		return err
	}
	used, err := cpu(m.peer.all)
	if err != nil {
		return err
	}
	m.clients = make([]*client, n)
	var dialling sync.WaitGroup
	errs := make(chan error, 8)
	for worker := range 8 {
		dialling.Go(func() {
			for i := worker; i < n; i += 8 {
				c, err := dial(ctx, m.peer.addresses[i%len(m.peer.addresses)])
				if err != nil {
					errs <- err
					return
				}
				m.clients[i] = c
			}
		})
	}
	dialling.Wait()
	select {
	case err := <-errs:
		m.clients = slices.DeleteFunc(m.clients, func(c *client) bool { return c == nil })
		return err
	default:
	}
	now, err := cpu(m.peer.all)
	if err != nil {
		return err
	}
	m.out["CPU of a handshake, us"] = micros(now-used) / float64(n)
	time.Sleep(2 * time.Second) // as for any idle server: what a collector gives back by itself
	after, err := rss(m.peer.daemon)
	if err != nil {
		return err
	}
	m.out["memory of an idle connection, KiB"] = float64(after-before) / 1024 / float64(n)
	if err := m.peer.joined(ctx); err != nil {
		return err
	}
	for i, c := range m.clients {
		var sample func(time.Duration)
		if i%10 == 0 {
			sample = func(d time.Duration) {
				m.mu.Lock()
				m.latency = append(m.latency, d)
				m.mu.Unlock()
			}
		}
		go c.listen(&m.events, sample)
	}
	return nil
}

const payloadSize = 100 // bytes

// payload is an event's string, with the time at its start.
func payload() string {
	s := fmt.Sprintf("T%d", time.Now().UnixNano())
	return s + strings.Repeat("x", payloadSize-len(s))
}

// fanOut emits to everybody, waiting for every delivery of one burst before the next.
func (m *measurement) fanOut(ctx context.Context, window time.Duration) error {
	for _, burst := range []int{1, 32} {
		used, err := cpu(m.peer.all)
		if err != nil {
			return err
		}
		m.latency = nil
		m.events.Store(0)
		sent, began := 0, time.Now()
		for end := time.Now().Add(window); time.Now().Before(end); {
			if err := m.peer.emit(ctx, burst, payload()); err != nil {
				return err
			}
			sent += burst
			if err := m.await(ctx, int64(sent*len(m.clients))); err != nil {
				return err
			}
		}
		now, err := cpu(m.peer.all)
		if err != nil {
			return err
		}
		deliveries := float64(m.events.Load())
		if burst == 1 {
			m.out["CPU of a delivery, one emit at a time, us"] = micros(now-used) / deliveries
			p50, p99 := percentiles(m.latency)
			m.out["time of a delivery, p50, ms"], m.out["time of a delivery, p99, ms"] = p50/1000, p99/1000
		} else {
			m.out["CPU of a delivery, 32 emits at a time, us"] = micros(now-used) / deliveries
			m.out["emits that all have, 32 at a time, 1/s"] = float64(sent) / time.Since(began).Seconds()
		}
	}
	return nil
}

// await waits until so many events have arrived; more is an error.
func (m *measurement) await(ctx context.Context, events int64) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Microsecond) {
		switch got := m.events.Load(); {
		case got == events:
			return nil
		case got > events || time.Now().After(deadline) || ctx.Err() != nil:
			return fmt.Errorf("%d deliveries, want %d", got, events)
		}
	}
}

// roundTrips has clients send events that the application answers.
func (m *measurement) roundTrips(ctx context.Context, window time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*window+10*time.Second, errors.New("an echo was not answered with its value"))
	defer cancel()
	for _, n := range []int{1, 64} {
		used, err := cpu(m.peer.all)
		if err != nil {
			return err
		}
		var running sync.WaitGroup
		var mu sync.Mutex
		var times []time.Duration
		var failed error
		end := time.Now().Add(window)
		for i := 0; i < min(n*max(m.peer.apart, 1), len(m.clients)); i += max(m.peer.apart, 1) {
			c := m.clients[i]
			running.Go(func() {
				for time.Now().Before(end) {
					start := time.Now()
					err := c.echo(ctx)
					took := time.Since(start)
					mu.Lock()
					times = append(times, took)
					if err != nil {
						failed = err
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		running.Wait()
		if failed != nil {
			return failed
		}
		now, err := cpu(m.peer.all)
		if err != nil {
			return err
		}
		if n == 1 {
			m.out["round trip of one client, p50, us"], m.out["round trip of one client, p99, us"] = percentiles(times)
		} else {
			m.out["round trips of 64 clients, 1/s"] = float64(len(times)) / window.Seconds()
			m.out["CPU of a round trip, us"] = micros(now-used) / float64(len(times))
		}
	}
	return nil
}

func micros(d time.Duration) float64 { return float64(d.Microseconds()) }

// percentiles returns p50 and p99 in microseconds.
func percentiles(d []time.Duration) (p50, p99 float64) {
	if len(d) == 0 {
		return 0, 0
	}
	slices.Sort(d)
	return micros(d[len(d)/2]), micros(d[len(d)*99/100])
}
