package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
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
	if npm == nil && all[0].notRun == nil {
		if npm = pinSelf(everyProcessor()); npm == nil {
			serverProcessors = 0
			npm = measurePrograms(ctx, daemon, all, s)
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
	for _, r := range slices.Concat(rows, programRows()) {
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
	w.Flush()
	if floor != nil {
		fmt.Fprintf(out, "\nfloor: left out: %v\n", floor)
	}
	if npm != nil {
		fmt.Fprintf(out, "\nprograms for Node.js: left out: %v\n", npm)
	}
	return all[0].notRun
}

// programRows are those of programs for Node.js: of one by @fanoutd/socket.io with fanoutd, and of
// the same by plain socket.io with the npm server.
func programRows() (rows []row) {
	for _, f := range npmFigures {
		rows = append(rows, row{"CPU " + f.name, "program for Node.js: CPU of one " + f.name + ", us", "%.1f"})
		if !f.paced {
			rows = append(rows, row{"rate " + f.name, "the same: rate, 1/s", "%.0f"})
		}
	}
	return rows
}

// measurePrograms has the results of these rows given to fanoutd and the npm server, if that is one of all.
func measurePrograms(ctx context.Context, daemon string, all []*contestant, s scale) error {
	taken, err := measureNPM(ctx, daemon, s.rounds, s.npm, s.window)
	for name, both := range taken {
		for _, c := range all {
			i := slices.Index([]string{"fanoutd", "node"}, c.name)
			if i < 0 {
				continue
			}
			for _, one := range both[i] {
				c.results["CPU "+name] = append(c.results["CPU "+name], one.node)
				c.results["rate "+name] = append(c.results["rate "+name], one.rate)
			}
		}
	}
	return err
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
