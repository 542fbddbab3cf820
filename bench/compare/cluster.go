package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// clusterNodes is how many nodes the clusters under measurement have. Clients are spread
// over them; the publisher is connected to the first.
const clusterNodes = 3

// clusterFigures are those of the fan-out and of events. A cluster's events come from clients of
// the first node, and its application is at the last; the npm server's is in every process.
var clusterFigures = figures[2:]

// cluster measures what a cluster of three costs beside one node, and beside the npm
// server with its Redis adapter, and prints a table.
func cluster(ctx context.Context, out io.Writer, daemon string, rounds, clients int, window time.Duration) error {
	one := &contestant{name: "one node", start: func(ctx context.Context) (*peer, error) { return startFanoutd(ctx, daemon) }, results: map[string][]float64{}}
	three := &contestant{name: "three nodes", start: func(ctx context.Context) (*peer, error) { return startFanoutdCluster(ctx, daemon) }, results: map[string][]float64{}}
	redis := &contestant{name: "npm, Redis", start: startRedisCluster, results: map[string][]float64{}}
	npm := others[0]
	if _, redis.notRun = npm.prepare(ctx); redis.notRun == nil {
		_, redis.notRun = exec.LookPath("redis-server")
	}
	all := []*contestant{one, three, redis}
	takeTurns(ctx, all, rounds, clients, window, true)
	fmt.Fprintf(out, "%d clients over WebSocket, %d rounds of %v; clusters of %d processes\n\n", clients, rounds, window, clusterNodes)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "figure\tone node\tthree nodes\tto one\tnpm with Redis\tthree to npm\t")
	for _, f := range clusterFigures {
		row := func(of, to *contestant) (value, ratio string) {
			if of.notRun != nil {
				return "-", "-"
			}
			value, ratio = fmt.Sprintf("%.1f", median(of.results[f.name])), "-"
			if to != nil && to.notRun == nil {
				var ratios []float64
				for i, v := range of.results[f.name] {
					ratios = append(ratios, v/to.results[f.name][i])
				}
				ratio = fmt.Sprintf("%.2f", median(ratios))
			}
			return value, ratio
		}
		single, _ := row(one, nil)
		ours, toOne := row(three, one)
		theirs, _ := row(redis, nil)
		_, toNPM := row(three, redis)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", f.name, single, ours, toOne, theirs, toNPM)
	}
	w.Flush()
	fmt.Fprintln(out)
	for _, c := range all {
		if c.notRun != nil {
			fmt.Fprintf(out, "%s: not run: %v\n", c.name, c.notRun)
		}
	}
	if three.notRun != nil {
		return three.notRun
	}
	return nil
}

// startFanoutdCluster starts three daemons that are one cluster.
func startFanoutdCluster(ctx context.Context, binary string) (*peer, error) {
	var routes []string
	for range clusterNodes {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		routes = append(routes, address)
	}
	p := &peer{name: "three nodes", apart: clusterNodes}
	var stops []func()
	stop := func() {
		for _, stop := range stops {
			stop()
		}
	}
	var control string
	for i, route := range routes {
		var at [3]string
		for j := range at {
			var err error
			if at[j], err = freeAddress(); err != nil {
				stop()
				return nil, err
			}
		}
		cmd, stopOne, err := start(ctx, at[0], binary, "--listen", at[0], "--control-listen", at[1], "--ops-listen", at[2], "--log-level", "error", "--grace", "1s",
			"--node-name", fmt.Sprint("n", i), "--cluster-listen", route, "--cluster-peers", strings.Join(routes, ","))
		if err != nil {
			stop()
			return nil, err
		}
		stops = append(stops, stopOne)
		p.all = append(p.all, cmd.Process.Pid)
		p.addresses = append(p.addresses, at[0])
		switch i {
		case 0:
			p.daemon, control = cmd.Process.Pid, at[1]
		case clusterNodes - 1:
			app, stopApp, err := startEcho(ctx, at[1])
			if err != nil {
				stop()
				return nil, err
			}
			stops = append(stops, stopApp)
			p.all = append(p.all, app.Process.Pid)
		}
	}
	conn, err := grpc.NewClient(control, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		stop()
		return nil, err
	}
	p.stop = func() { conn.Close(); stop() }
	if p.emit, err = emitter(ctx, conn); err != nil {
		p.stop()
		return nil, err
	}
	p.joined = func(ctx context.Context) error { return joinAll(ctx, conn) }
	admin := fanoutv1.NewAdminServiceClient(conn)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		res, err := admin.ListNodes(ctx, &fanoutv1.ListNodesRequest{})
		if err == nil && len(res.GetNodes()) == clusterNodes {
			return p, nil
		}
		if time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("the nodes do not meet: %v, %w", res, err)
		}
	}
}

// startRedisCluster starts three processes of the npm server with its Redis adapter,
// and the Redis that they share.
func startRedisCluster(ctx context.Context) (*peer, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fanoutd-bench-")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	server, stopServer, err := start(ctx, address, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	p := &peer{name: "npm, Redis", all: []int{server.Process.Pid}, joined: func(context.Context) error { return nil }}
	stops := []func(){func() { os.RemoveAll(dir) }, stopServer}
	p.stop = func() {
		for i := range stops {
			stops[len(stops)-1-i]()
		}
	}
	for i := range clusterNodes {
		at, err := freeAddress()
		if err != nil {
			p.stop()
			return nil, err
		}
		_, own, _ := net.SplitHostPort(at)
		cmd, stopOne, err := start(ctx, at, "node", "peers/socketio.mjs", own, "redis://"+address)
		if err != nil {
			p.stop()
			return nil, err
		}
		stops = append(stops, stopOne)
		p.all, p.addresses = append(p.all, cmd.Process.Pid), append(p.addresses, at)
		if i == 0 {
			p.daemon = cmd.Process.Pid
		}
	}
	p.emit = func(ctx context.Context, n int, payload string) error {
		return post(ctx, fmt.Sprintf("http://%s/emit?n=%d", p.addresses[0], n), payload)
	}
	return p, nil
}
