package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// growthFigures are what may change with the number of connections.
var growthFigures = []string{
	"memory of an idle connection, KiB",
	"CPU of a delivery, one emit at a time, us",
	"CPU of a delivery, 32 emits at a time, us",
	"time of a delivery, p50, ms",
	"time of a delivery, p99, ms",
}

// growth measures every contestant at every size and prints how the cost of a
// delivery grows: its last column is the first CPU figure against that of the
// contestant's first size. It reports whether any size was run.
func growth(ctx context.Context, out io.Writer, all []*contestant, sizes []int, rounds int, window time.Duration) bool {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "connections\tpeer\tKiB each\tCPU us, 1 emit\tCPU us, 32 emits\tp50 ms\tp99 ms\tgrowth\t")
	first := map[string]float64{}
	var notRun []string
	for _, size := range sizes {
		if err := room(size); err != nil {
			notRun = append(notRun, fmt.Sprintf("%d connections: not run: %v", size, err))
			continue
		}
		takeTurns(ctx, all, rounds, size, window, false)
		for _, c := range all {
			if c.notRun != nil {
				continue
			}
			fmt.Fprintf(w, "%d\t%s\t", size, c.name)
			for _, f := range growthFigures {
				fmt.Fprintf(w, "%.1f\t", median(c.results[f]))
			}
			cost := median(c.results["CPU of a delivery, one emit at a time, us"])
			if first[c.name] == 0 {
				first[c.name] = cost
			}
			fmt.Fprintf(w, "%.2f\t\n", cost/first[c.name])
			clear(c.results)
		}
	}
	w.Flush()
	for _, line := range notRun {
		fmt.Fprintln(out, line)
	}
	return len(notRun) < len(sizes)
}

// spare is how many descriptors a server or the client may need besides one a
// connection: listeners, logs, the runtime's own.
const spare = 200

// room tells why this machine has no room for n connections, if it has none.
func room(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if uint64(n+spare) > limit.Cur {
		return fmt.Errorf("a process may have %d descriptors (ulimit -Hn), %d are needed", limit.Cur, n+spare)
	}
	// Every client comes from the same address to the same port.
	b, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range") // not told: let it be tried
	if f := strings.Fields(string(b)); len(f) == 2 {
		low, _ := strconv.Atoi(f[0])
		high, _ := strconv.Atoi(f[1])
		if ports := high - low + 1; n > ports {
			return fmt.Errorf("%d local ports (net.ipv4.ip_local_port_range)", ports)
		}
	}
	return nil
}

// raiseDescriptors lifts the limit as far as it goes. The Go runtime has done so
// already, for this process alone: set here, the servers inherit it.
func raiseDescriptors() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// numbers reads a comma-separated list.
func numbers(list string) ([]int, error) {
	var all []int
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number of connections", s)
		}
		all = append(all, n)
	}
	return all, nil
}
