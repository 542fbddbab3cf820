package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	key, name, format string
}

// rows are all that -table prints, in this order. "of send(2)" is the processor time of a
// delivery to that of the floor in the same seconds.
var rows = []row{
	{"rooms 16", "1,000 rooms of 9, 16 requests outstanding: of send(2)", "%.2f"},
	{"rooms 16 rate", "the same: deliveries, 1/s", "%.0f"},
	{"rooms 16 reads", "the same: deliveries a read of a client", "%.1f"},
	{"rooms 3", "the same, 3 requests outstanding: of send(2)", "%.2f"},
	{"rooms 3 rate", "the same: deliveries, 1/s", "%.0f"},
	{"rooms paced", "the same, 20,000 deliveries a second: of send(2)", "%.2f"},
	{"big paced", "room of 9,000, 36,000 deliveries a second: of send(2)", "%.2f"},
	{"big p99", "p99 of a delivery there, ms", "%.0f"},
	{"alone", "room of 1,000, one emit at a time: of send(2)", "%.2f"},
	{"handshake", "CPU of a handshake with CONNECT, 1,500 a second, us", "%.0f"},
	{"idle", "memory of an idle connection of 9,000, KiB", "%.2f"},
	{"loaded", "memory 2 s after those loads, KiB", "%.2f"},
	{"idle CPU", "CPU of an idle connection, us/s", "%.2f"},
	{"quiet p99", "room of 1,000, 20,000 deliveries a second: p99, ms", "%.0f"},
	{"storm p99", "the same, beside connects: p99, ms", "%.0f"},
	{"storm rate", "connects a second, of 8,000", "%.0f"},
	{"storm", "CPU of a connect there, us", "%.0f"},
	{"poll", "CPU of a poll, 500 clients, us", "%.1f"},
	{"echo", "CPU of a round trip, 64 clients, us", "%.1f"},
	{"echo rate", "round trips, 64 clients, 1/s", "%.0f"},
	{"echo one", "round trip of one client, p50, us", "%.0f"},
}

// scale is how much of everything there is.
type scale struct {
	clients, rooms  int // many rooms
	crowd           int // a room
	polls           int
	echoes          int
	opened          time.Duration // how long the clients of many rooms take to connect
	watched         time.Duration // how long those that are idle are
	window          time.Duration
	paced, bigPaced int // deliveries, 1/s
	crowdPaced      int
	connects        int // 1/s
	npm             int // clients
	rounds          int
	settled         time.Duration // before memory is looked at
}

var (
	wholeScale = scale{
		clients: 9000, rooms: 1000, crowd: 1000, polls: 500, echoes: 64, opened: 6 * time.Second, watched: pingInterval,
		window: 1200 * time.Millisecond, paced: 20_000, bigPaced: 36_000, crowdPaced: 20_000, connects: 8000, npm: 1000,
		rounds: 3, settled: 2 * time.Second,
	}
	// quickScale shows that it runs, and nothing else.
	quickScale = scale{
		clients: 90, rooms: 10, crowd: 20, polls: 5, echoes: 4, opened: 100 * time.Millisecond, watched: 100 * time.Millisecond,
		window: 150 * time.Millisecond, paced: 500, bigPaced: 500, crowdPaced: 500, connects: 50, npm: 100, // 64 of which send events
		rounds: 1, settled: 100 * time.Millisecond,
	}
)

// figuresOf are those of one server, by row's key, one a round.
type figuresOf map[string][]float64

// tableOf measures the servers in turns, and prints all rows. It reports whether fanoutd was
// measured.
func tableOf(ctx context.Context, out io.Writer, all []*contestant, s scale, daemon string, floor, npm error) error {
	for round := range s.rounds {
		for _, c := range all {
			if c.notRun != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, s.rounds, c.name)
			if err := s.measure(ctx, c, round == 0, floor == nil); err != nil {
				c.notRun = fmt.Errorf("round %d: %w", round+1, errors.Join(err, context.Cause(ctx)))
			}
		}
	}
	var programs map[string][2][]sample
	if npm == nil && all[0].notRun == nil {
		if npm = pinSelf(everyProcessor()); npm == nil {
			serverProcessors = 0
			programs, npm = measureNPM(ctx, daemon, s.rounds, s.npm, s.window)
		}
	}
	there := slices.DeleteFunc(slices.Clone(all), func(c *contestant) bool { return c.notRun != nil })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "figure\t")
	for _, c := range there {
		fmt.Fprintf(w, "%s\t", c.name)
	}
	fmt.Fprintln(w)
	measured := func(r row) bool {
		return slices.ContainsFunc(there, func(c *contestant) bool { return len(c.results[r.key]) > 0 })
	}
	for _, r := range rows {
		if !measured(r) {
			continue
		}
		fmt.Fprintf(w, "%s\t", r.name)
		for _, c := range there {
			if v := c.results[r.key]; len(v) > 0 {
				fmt.Fprintf(w, r.format, median(v))
				if len(v) > 1 {
					fmt.Fprintf(w, " ("+r.format+" to "+r.format+")", slices.Min(v), slices.Max(v))
				}
			}
			fmt.Fprint(w, "\t")
		}
		fmt.Fprintln(w)
	}
	for _, f := range npmFigures {
		if programs == nil {
			break
		}
		fmt.Fprintf(w, "program by @fanoutd/socket.io, and by socket.io: CPU of Node.js, us: %s\t", f.name)
		for _, c := range there {
			if i := slices.Index([]string{"fanoutd", "node"}, c.name); i >= 0 {
				var node []float64
				for _, one := range programs[f.name][i] {
					node = append(node, one.node)
				}
				fmt.Fprintf(w, "%.1f", median(node))
			}
			fmt.Fprint(w, "\t")
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	if floor != nil {
		fmt.Fprintf(out, "\nfloor: left out: %v\n", floor)
	}
	if npm != nil {
		fmt.Fprintf(out, "\nprograms for Node.js: left out: %v\n", npm)
	}
	return all[0].notRun
}

// measure takes one round of one server.
func (s scale) measure(ctx context.Context, c *contestant, first, floor bool) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	how := socketIO
	if c.name == centrifugePeer.name {
		how = centrifuge
	}
	round := map[string]float64{}
	parts := []func(context.Context, *contestant, protocol, bool, bool, map[string]float64) error{s.manyRooms}
	if !c.fanOutOnly {
		parts = append(parts, s.oneRoom)
		if how.greets {
			parts = append(parts, s.pollers, s.echo)
		}
	}
	for _, part := range parts {
		if err := part(ctx, c, how, first, floor, round); err != nil {
			return err
		}
	}
	for key, v := range round {
		c.results[key] = append(c.results[key], v)
	}
	return nil
}

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
	connects := make(chan int, 1)
	go func() { connects <- s.storm(p.addresses[0], how) }()
	used = now
	beside, err := f.paced(ctx, s.crowdPaced, true, s.window)
	n := <-connects
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
// how many were. They leave when it is over.
func (s scale) storm(address string, how protocol) int {
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
	fds.Range(func(fd, _ any) bool { syscall.Close(fd.(int)); return true })
	return int(n.Load())
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

// everyProcessor is the bitmap of all there are.
func everyProcessor() uint64 { return 1<<min(runtime.NumCPU(), 63) - 1 }

// share gives servers the first processor, and this process the second, where there are two.
func share() error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	serverProcessors = 1
	return pinSelf(2)
}

// printTable measures and prints what -table says.
func printTable(ctx context.Context, out io.Writer, daemon string, quick, programs bool, rounds int, list, processors string) error {
	peers, err := chooseOf(append(slices.Clone(others), centrifugePeer), list)
	if err != nil {
		return err
	}
	s := wholeScale
	floor := buildFloor(ctx)
	var npm error
	if !programs {
		npm = errors.New("-npm was not given")
	}
	s.rounds = rounds
	if quick {
		s = quickScale
	}
	all := contestants(ctx, daemon, peers)
	if processors != "" {
		values, err := numbers(processors)
		if err != nil {
			return err
		}
		all = nil
		for _, n := range values {
			all = append(all, &contestant{
				name: fmt.Sprintf("GOMAXPROCS=%d", n), about: daemon, fanOutOnly: true, results: map[string][]float64{},
				start: func(ctx context.Context) (*peer, error) {
					return startFanoutd(ctx, daemon, fmt.Sprintf("GOMAXPROCS=%d", n))
				},
			})
		}
	} else if err := share(); err != nil {
		return err
	}
	if err := room(2 * s.clients); err != nil { // the floor has as many
		return fmt.Errorf("%d connections: %w", 2*s.clients, err)
	}
	err = tableOf(ctx, out, all, s, daemon, floor, npm)
	fmt.Fprintln(out)
	for _, c := range all {
		if c.notRun != nil {
			fmt.Fprintf(out, "%s: left out: %v\n", c.name, c.notRun)
		} else {
			fmt.Fprintf(out, "%s: %s\n", c.name, c.about)
		}
	}
	return err
}
