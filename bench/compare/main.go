// Command compare measures fanoutd beside the npm Socket.IO server, on this
// machine, over loopback, and prints one table of ratios.
//
//	go run ./compare [-daemon ../bin/fanoutd] [-clients 2000] [-rounds 3]
//
// Absolute figures are this machine's of this minute; the ratios are medians over
// rounds in which the two take turns. Processor time is that of the server's
// processes: of fanoutd's backend too, where one takes part.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

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
	daemon := flag.String("daemon", "../bin/fanoutd", "the daemon's binary")
	clients := flag.Int("clients", 2000, "connections")
	rounds := flag.Int("rounds", 3, "rounds, of which the median counts")
	window := flag.Duration("window", 3*time.Second, "length of each measurement")
	flag.Parse()

	start := map[string]func(context.Context) (*peer, error){
		"fanoutd": func(ctx context.Context) (*peer, error) { return startFanoutd(ctx, *daemon) },
		"node":    startNode,
	}
	results := map[string]map[string][]float64{} // by figure and peer
	for round := range *rounds {
		for _, name := range []string{"fanoutd", "node"} {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, *rounds, name)
			figures, err := measure(ctx, start[name], *clients, *window)
			if err != nil {
				log.Fatalf("%s: %v", name, err)
			}
			for figure, v := range figures {
				if results[figure] == nil {
					results[figure] = map[string][]float64{}
				}
				results[figure][name] = append(results[figure][name], v)
			}
		}
	}
	fmt.Printf("%s; %d clients over WebSocket, %d rounds of %v\n\n", machine(), *clients, *rounds, *window)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "figure\tfanoutd\tnode\tratio\t")
	for _, f := range figures {
		ours, theirs := results[f.name]["fanoutd"], results[f.name]["node"]
		var ratios []float64
		for i := range ours {
			ratios = append(ratios, ours[i]/theirs[i])
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.2f\t\n", f.name, median(ours), median(theirs), median(ratios))
	}
	w.Flush()
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
