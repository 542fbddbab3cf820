package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// besides measures the same of a server and of the floor, one after the other, and returns the
// ratio of what a delivery cost.
func besides(f, floor *fan, take func(*fan) (taken, error)) (of taken, ratio float64, err error) {
	if of, err = take(f); err != nil || floor == nil {
		return of, 0, err
	}
	least, err := take(floor)
	if err != nil {
		return of, 0, fmt.Errorf("floor: %w", err)
	}
	return of, of.cost / least.cost, nil
}

// withFloor starts a floor with as many clients, if there is one to be had.
func withFloor(ctx context.Context, there bool, clients, rooms int) (f *fan, stop func(), err error) {
	if !there {
		return nil, func() {}, nil
	}
	p, err := startFloor(ctx)
	if err != nil {
		return nil, nil, err
	}
	if f, err = openFan(ctx, p, socketIO, clients, rooms, 0); err != nil {
		p.stop()
		return nil, nil, err
	}
	return f, func() { f.close(); p.stop() }, nil
}

func (s scale) manyRooms(ctx context.Context, c *contestant, how protocol, first, withTheFloor bool, out map[string]float64) error {
	p, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	floor, stop, err := withFloor(ctx, withTheFloor, s.clients, s.rooms)
	if err != nil {
		return err
	}
	defer stop()
	if err := pause(ctx, s.settled/4); err != nil {
		return err
	}
	used, err := cpu([]int{p.daemon})
	if err != nil {
		return err
	}
	before, err := rss(p.daemon)
	if err != nil {
		return err
	}
	f, err := openFanMeasured(ctx, p, how, s, used, out)
	if err != nil {
		return err
	}
	defer f.close()
	memory := func(key string) error {
		if err := pause(ctx, s.settled); err != nil {
			return err
		}
		now, err := rss(p.daemon)
		out[key] = float64(now-before) / 1024 / float64(s.clients)
		return err
	}
	if err := memory("idle"); err != nil {
		return err
	}
	if first && !c.fanOutOnly {
		used, err := cpu([]int{p.daemon})
		if err != nil {
			return err
		}
		if err := pause(ctx, s.watched); err != nil {
			return err
		}
		now, err := cpu([]int{p.daemon})
		if err != nil {
			return err
		}
		out["idle CPU"] = micros(now-used) / s.watched.Seconds() / float64(s.clients)
	}
	set := func(key string, ratio float64) {
		if floor != nil {
			out[key] = ratio
		}
	}
	for _, outstanding := range []int{16, 3} {
		t, ratio, err := besides(f, floor, func(f *fan) (taken, error) { return f.backlog(ctx, outstanding, s.window) })
		if err != nil {
			return err
		}
		key := fmt.Sprintf("rooms %d", outstanding)
		set(key, ratio)
		out[key+" rate"] = t.rate
		if outstanding == 16 {
			out[key+" reads"] = float64(t.count) / float64(max(t.reads, 1))
		}
	}
	_, ratio, err := besides(f, floor, func(f *fan) (taken, error) { return f.paced(ctx, s.paced, false, s.window) })
	if err != nil {
		return err
	}
	set("rooms paced", ratio)
	t, ratio, err := besides(f, floor, func(f *fan) (taken, error) { return f.paced(ctx, s.bigPaced, true, 2*s.window) })
	if err != nil {
		return err
	}
	set("big paced", ratio)
	out["big p99"] = t.p99
	return memory("loaded")
}

// openFanMeasured opens the clients and tells what a handshake cost.
func openFanMeasured(ctx context.Context, p *peer, how protocol, s scale, used time.Duration, out map[string]float64) (*fan, error) {
	var after time.Duration
	p.connected = func() (err error) {
		after, err = cpu([]int{p.daemon})
		return err
	}
	f, err := openFan(ctx, p, how, s.clients, s.rooms, s.opened)
	if err == nil {
		out["handshake"] = micros(after-used) / float64(s.clients)
	}
	return f, err
}

// oneRoom is of a room alone, and beside connects.
func (s scale) oneRoom(ctx context.Context, c *contestant, how protocol, _, withTheFloor bool, out map[string]float64) error {
	p, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	floor, stop, err := withFloor(ctx, withTheFloor, s.crowd, 1)
	if err != nil {
		return err
	}
	defer stop()
	f, err := openFan(ctx, p, how, s.crowd, 1, 0)
	if err != nil {
		return err
	}
	defer f.close()
	_, ratio, err := besides(f, floor, func(f *fan) (taken, error) { return f.alone(ctx, s.window) })
	if err != nil {
		return err
	}
	if floor != nil {
		out["alone"] = ratio
	}
	used, err := cpu(f.pids)
	if err != nil {
		return err
	}
	quiet, err := f.paced(ctx, s.crowdPaced, true, s.window)
	if err != nil {
		return err
	}
	now, err := cpu(f.pids)
	if err != nil {
		return err
	}
	without := now - used
	var n int
	var leave func()
	var connecting sync.WaitGroup
	connecting.Go(func() { n, leave = s.storm(p.addresses[0], how) })
	used = now
	beside, err := f.paced(ctx, s.crowdPaced, true, s.window)
	connecting.Wait()
	defer leave()
	if err != nil {
		return err
	}
	if now, err = cpu(f.pids); err != nil {
		return err
	}
	out["quiet p99"], out["storm p99"] = quiet.p99, beside.p99
	out["storm rate"] = float64(n) / s.window.Seconds()
	out["storm"] = micros(now-used-without) / float64(max(n, 1))
	return nil
}

// storm connects clients for a window, at a rate, as far as the server keeps up, and returns
// how many were, and what has them leave: all at once, which is not to be measured with it.
func (s scale) storm(address string, how protocol) (connected int, leave func()) {
	var fds sync.Map
	var n, next atomic.Int64
	began := time.Now()
	var dialling sync.WaitGroup
	for range 16 {
		dialling.Go(func() {
			for {
				due := began.Add(time.Duration(next.Add(1)) * time.Second / time.Duration(s.connects))
				if due.Sub(began) > s.window || time.Since(began) > s.window {
					return
				}
				time.Sleep(time.Until(due))
				if fd, _, err := how.connect(address, 0); err == nil {
					fds.Store(fd, true)
					n.Add(1)
				}
			}
		})
	}
	dialling.Wait()
	return int(n.Load()), func() {
		fds.Range(func(fd, _ any) bool { syscall.Close(fd.(int)); return true })
	}
}

// echo is of events that are answered.
func (s scale) echo(ctx context.Context, c *contestant, _ protocol, _, _ bool, out map[string]float64) error {
	p, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer p.stop()
	m := &measurement{peer: p, out: map[string]float64{}}
	defer m.close()
	if err := m.connect(ctx, s.echoes); err != nil {
		return err
	}
	if err := m.roundTrips(ctx, s.window); err != nil {
		return err
	}
	out["echo"], out["echo rate"] = m.out["CPU of a round trip, us"], m.out["round trips of 64 clients, 1/s"]
	out["echo one"] = m.out["round trip of one client, p50, us"]
	return nil
}
