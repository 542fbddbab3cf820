// Command compare measures fanoutd beside other Socket.IO servers, on this
// machine, over loopback, and prints one table of ratios.
//
//	go run ./compare [-daemon ../bin/fanoutd] [-peers node,python,rust,go] [-clients 2000] [-rounds 3]
//	go run ./compare -table [-peers node,rust,centrifuge] [-npm] [-quick] [-gomaxprocs 1,2,8]
//	go run ./compare -idle [-idle-clients 9000]
//	go run ./compare -growth [-sizes 1000,5000,10000,15000]
//	go run ./compare -cluster [-clients 900]
//	go run ./compare -npm [-clients 4000]
//
// The first form ends with a second table, of idle connections, which is all that the third
// prints. The second prints one table of everything, with servers on one processor and
// clients on another. The fourth prints how cost grows with connections, the fifth what three
// nodes cost beside one, and beside the npm server with its Redis adapter, the sixth what
// a program by @fanoutd/socket.io costs beside the same by plain socket.io. A peer that
// cannot be had, or that fails, is named with the reason, and the others go on.
//
// Absolute figures are this machine's of this minute; the ratios are medians over
// rounds in which all take turns. Processor time is that of the server's
// processes: of fanoutd's backend too, where one takes part.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// contestant is a server that takes turns with the others.
type contestant struct {
	name, about string
	start       func(context.Context) (*peer, error)
	results     map[string][]float64 // by figure, one a round
	fanOutOnly  bool                 // of -table, the rows of many rooms alone
	notRun      error                // why it is in no table
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == "echo" {
		if err := echo(ctx, os.Args[2]); err != nil && ctx.Err() == nil {
			log.Fatal(err)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "on" {
		log.Fatal(runOn(os.Args[2:]))
	}
	daemon := flag.String("daemon", "../bin/fanoutd", "the daemon's binary")
	peers := flag.String("peers", "node", "whom to compare with: all, or some of node,python,rust,go, and with -table centrifuge; empty: nobody")
	clients := flag.Int("clients", 2000, "connections")
	rounds := flag.Int("rounds", 3, "rounds, of which the median counts")
	window := flag.Duration("window", 3*time.Second, "length of each measurement")
	idleOnly := flag.Bool("idle", false, "measure only what idle connections cost")
	idleClients := flag.Int("idle-clients", 9000, "connections that are idle; 0: measure none")
	grow := flag.Bool("growth", false, "show how cost grows with connections")
	clustered := flag.Bool("cluster", false, "measure three nodes beside one, and beside the npm server with its Redis adapter")
	packages := flag.Bool("npm", false, "measure a program by @fanoutd/socket.io beside the same by plain socket.io; with -table that too")
	whole := flag.Bool("table", false, "print one table of everything, beside the floor of the system; see table.go")
	quick := flag.Bool("quick", false, "with -table: show that it runs, with a few clients and windows that are too short: the figures mean nothing")
	processors := flag.String("gomaxprocs", "", "with -table: measure fanoutd with these GOMAXPROCS, as in 1,2,8, its threads on all processors, and nobody else")
	sizes := flag.String("sizes", "1000,5000,10000,15000", "connections, with -growth")
	flag.Parse()

	steps, err := numbers(*sizes)
	if err != nil {
		log.Fatal(err)
	}
	if err := raiseDescriptors(); err != nil {
		log.Fatal("descriptors: ", err)
	}
	fmt.Printf("%s\n", machine())
	if *whole {
		if err := printTable(ctx, os.Stdout, *daemon, *quick, *packages, *rounds, *peers, *processors); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *clustered {
		if err := cluster(ctx, os.Stdout, *daemon, *rounds, *clients, *window); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *packages {
		if err := npm(ctx, os.Stdout, *daemon, *rounds, *clients, *window); err != nil {
			log.Fatal(err)
		}
		return
	}
	chosen, err := choose(*peers)
	if err != nil {
		log.Fatal(err)
	}
	all := contestants(ctx, *daemon, chosen)
	ran := true
	if *grow {
		fmt.Printf("over WebSocket, %d rounds of %v\n\n", *rounds, *window)
		ran = growth(ctx, os.Stdout, all, steps, *rounds, *window)
	} else {
		if err := room(max(*clients, *idleClients)); err != nil {
			log.Fatalf("%d connections: %v", max(*clients, *idleClients), err)
		}
		if !*idleOnly {
			takeTurns(ctx, all, *rounds, *clients, *window, true)
			fmt.Printf("%d clients over WebSocket, %d rounds of %v\n\n", *clients, *rounds, *window)
			table(os.Stdout, all)
			fmt.Println()
		}
		if *idleClients > 0 {
			fmt.Printf("%d idle clients over WebSocket; load: emits to all for twice %v\n\n", *idleClients, *window)
			ran = idle(ctx, os.Stdout, all, *idleClients, *window)
		}
	}
	fmt.Println()
	for _, c := range all {
		if c.notRun != nil {
			fmt.Printf("%s: not run: %v\n", c.name, c.notRun)
		} else {
			fmt.Printf("%s: %s\n", c.name, c.about)
		}
	}
	if !ran || all[0].notRun != nil || !slices.ContainsFunc(all[1:], func(c *contestant) bool { return c.notRun == nil }) {
		log.Fatal("nothing was compared")
	}
}

// contestants are fanoutd, first, and its peers, those ready that can be had.
func contestants(ctx context.Context, daemon string, chosen []other) []*contestant {
	all := []*contestant{{
		name: "fanoutd", about: daemon + " and a Go backend",
		start:   func(ctx context.Context) (*peer, error) { return startFanoutd(ctx, daemon) },
		results: map[string][]float64{},
	}}
	for _, o := range chosen {
		version, err := o.prepare(ctx)
		all = append(all, &contestant{
			name: o.name, about: o.about + ", " + version, start: o.start, results: map[string][]float64{}, notRun: err,
		})
	}
	return all
}

// takeTurns measures all contestants, a round after another. Who fails once is
// out: figures of fewer rounds would not compare.
func takeTurns(ctx context.Context, all []*contestant, rounds, clients int, window time.Duration, roundTrips bool) {
	for round := range rounds {
		for _, c := range all {
			if c.notRun != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "%d connections, round %d of %d: %s\n", clients, round+1, rounds, c.name)
			figures, err := measure(ctx, c.start, clients, window, roundTrips)
			if err != nil {
				c.notRun = fmt.Errorf("at %d connections: %w", clients, errors.Join(err, context.Cause(ctx)))
				continue
			}
			for figure, v := range figures {
				c.results[figure] = append(c.results[figure], v)
			}
		}
	}
}

// table prints every figure, and fanoutd's share of what it costs each peer.
func table(out io.Writer, all []*contestant) {
	us := all[0]
	if us.notRun != nil {
		return
	}
	all = slices.DeleteFunc(slices.Clone(all[1:]), func(c *contestant) bool { return c.notRun != nil })
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "figure\tfanoutd\t")
	for _, c := range all {
		fmt.Fprintf(w, "%s\tratio\t", c.name)
	}
	fmt.Fprintln(w)
	for _, f := range figures {
		ours := us.results[f.name]
		fmt.Fprintf(w, "%s\t%.1f\t", f.name, median(ours))
		for _, c := range all {
			theirs := c.results[f.name]
			var ratios []float64
			for i := range ours {
				ratios = append(ratios, ours[i]/theirs[i])
			}
			fmt.Fprintf(w, "%.1f\t%.2f\t", median(theirs), median(ratios))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
