package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// program is a program for the npm socket.io server under measurement; see
// peers/program.cjs.
type program struct {
	address string // where clients connect
	control string // of the program itself
	daemon  int    // the daemon's; 0: it is by plain socket.io
	clients []*npmClient
	came    atomic.Int64 // broadcasts, to any of them
	stop    func()
}

// npm measures a program by @fanoutd/socket.io beside the same by plain socket.io and prints a
// table.
func npm(ctx context.Context, out io.Writer, daemon string, rounds, clients int, window time.Duration) error {
	taken, err := measureNPM(ctx, daemon, rounds, clients, window)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d clients over WebSocket, %d rounds of %v, @fanoutd/socket.io beside socket.io\n\n", clients, rounds, window)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "figure\t1/s\tsocket.io\tratio\tCPU of Node.js, us\tsocket.io\tratio\tof the daemon\t")
	for _, f := range npmFigures {
		r := taken[f.name]
		column := func(of func(ours, plain sample) float64) float64 {
			var all []float64
			for i := range r[0] {
				all = append(all, of(r[0][i], r[1][i]))
			}
			return median(all)
		}
		fmt.Fprintf(w, "%s\t", f.name)
		if f.paced {
			fmt.Fprint(w, "\t\t\t")
		} else {
			fmt.Fprintf(w, "%.0f\t%.0f\t%.2f\t",
				column(func(ours, _ sample) float64 { return ours.rate }),
				column(func(_, plain sample) float64 { return plain.rate }),
				column(func(ours, plain sample) float64 { return ours.rate / plain.rate }))
		}
		fmt.Fprintf(w, "%.1f\t%.1f\t%.2f\t%.1f\t\n",
			column(func(ours, _ sample) float64 { return ours.node }),
			column(func(_, plain sample) float64 { return plain.node }),
			column(func(ours, plain sample) float64 { return ours.node / plain.node }),
			column(func(ours, _ sample) float64 { return ours.daemon }))
	}
	return w.Flush()
}

// measureNPM returns the samples of both, by figure: ours and plain, one a round. Both are
// connected all the time, and take turns with each figure.
func measureNPM(ctx context.Context, daemon string, rounds, clients int, window time.Duration) (map[string][2][]sample, error) {
	if err := room(2 * clients); err != nil {
		return nil, fmt.Errorf("%d connections: %w", 2*clients, err)
	}
	ours, err := startNPM(ctx, daemon)
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	plain, err := startNPM(ctx, "")
	if err != nil {
		return nil, err
	}
	defer plain.stop()
	both := []*program{ours, plain}
	for _, p := range both {
		if err := p.connect(ctx, clients); err != nil {
			return nil, err
		}
	}
	taken := map[string][2][]sample{}
	for round := range rounds + 1 {
		fmt.Fprintf(os.Stderr, "%d clients, round %d of %d (0 is not counted)\n", clients, round, rounds)
		for _, f := range npmFigures {
			got := taken[f.name]
			for i := range both {
				one := (round + i) % len(both) // who is first changes
				s, err := f.take(ctx, both[one], window)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", f.name, err)
				}
				got[one] = append(got[one], s)
			}
			if round > 0 { // until V8 has compiled what is used
				taken[f.name] = got
			}
		}
	}
	return taken, nil
}

// startNPM starts a program, and the daemon before it, if there is to be one.
func startNPM(ctx context.Context, daemon string) (*program, error) {
	var at [4]string
	for i := range at {
		var err error
		if at[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	p := &program{address: at[0], control: at[0], stop: func() {}}
	_, port, _ := net.SplitHostPort(p.control)
	args := []string{"peers/program.cjs", port}
	if daemon != "" {
		cmd, stop, err := start(ctx, at[1], daemon, "--listen", at[1], "--control-listen", at[2], "--ops-listen", at[3],
			"--log-level", "error", "--grace", "1s", "--require-verdict", "--expose-auth=true")
		if err != nil {
			return nil, err
		}
		p.address, p.daemon, p.stop = at[1], cmd.Process.Pid, stop
		args = append(args, at[2])
	}
	_, stop, err := start(ctx, p.control, "node", args...)
	if err != nil {
		p.stop()
		return nil, err
	}
	before := p.stop
	p.stop = func() { p.disconnect(); stop(); before() }
	return p, nil
}

// ask has the program do something and returns the number that it answers.
func (p *program) ask(ctx context.Context, action string, params url.Values) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+p.control+"/"+action+"?"+params.Encode(), nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(string(b), 64)
}
