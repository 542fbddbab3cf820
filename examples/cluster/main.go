// Command cluster runs a cluster on this machine: several nodes of fanoutd, a balancer
// in front of them that knows nothing of sessions, and a chat backend that is connected
// to the first node and hears the browsers of all. It ends them all when it is
// interrupted.
//
//	make cluster
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Where things listen, on loopback. The nodes' own ports count up from these.
const (
	balancer  = "127.0.0.1:8080"
	browsers  = 18080
	backends  = 8081
	operators = 19080
	routes    = 16222
)

func main() {
	daemon := flag.String("fanoutd", "bin/fanoutd", "the daemon")
	chat := flag.String("chat", "bin/chat", "a backend that is connected to the first node; empty: none")
	number := flag.Int("nodes", 3, "how many nodes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *daemon, *chat, *number); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

// run runs everything until ctx ends or something does.
func run(ctx context.Context, daemon, chat string, number int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running []<-chan struct{}
	start := func(name string, args ...string) error {
		ended, err := process(ctx, name, args, cancel)
		running = append(running, ended)
		return err
	}
	defer func() {
		cancel(nil)
		for _, ended := range running {
			<-ended
		}
	}()
	var peers, targets []string
	for i := range number {
		peers = append(peers, address(routes+i))
		targets = append(targets, address(browsers+i))
	}
	for i := range number {
		if err := start(daemon,
			"--node-name", fmt.Sprintf("node-%d", i+1), "--demo",
			"--listen", targets[i], "--control-listen", address(backends+10*i), "--ops-listen", address(operators+i),
			"--cluster-name", "example", "--cluster-listen", peers[i], "--cluster-peers", strings.Join(peers, ","),
			// Nodes see the balancer, which tells them who the client is.
			"--trusted-proxies", "127.0.0.1/32",
		); err != nil {
			return err
		}
	}
	for i := range number {
		if err := ready(ctx, address(operators+i)); err != nil {
			return err
		}
	}
	if chat != "" {
		if err := start(chat); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", balancer)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: roundRobin(targets), ReadHeaderTimeout: 10 * time.Second}
	go func() { cancel(server.Serve(l)) }()
	defer server.Close()
	fmt.Printf("\n%d nodes are ready. Open http://localhost:8080 in two tabs: the balancer sends each request to another node.\n", number)
	fmt.Println("Each node answers for all of them:")
	for i := range number {
		fmt.Printf("  grpcurl -plaintext %s fanout.v1.AdminService/ListNodes\n", address(backends+10*i))
	}
	fmt.Print("Kill a node and see what the others say. Ctrl-C ends all.\n\n")
	<-ctx.Done()
	return context.Cause(ctx)
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// process starts a program, whose output comes with its name, and tells when it has
// ended. It is asked to end when ctx does.
func process(ctx context.Context, name string, args []string, failed context.CancelCauseFunc) (<-chan struct{}, error) {
	ended := make(chan struct{})
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for this program, which tells each once
	c.WaitDelay = 15 * time.Second
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		close(ended)
		return ended, err
	}
	go func() {
		defer close(ended)
		err := c.Wait()
		if ctx.Err() == nil { // a node that was killed is what this is for
			fmt.Printf("%s (process %d) has ended: %v\n", filepath.Base(name), c.Process.Pid, err)
			if !errors.As(err, new(*exec.ExitError)) {
				failed(err)
			}
		}
	}()
	return ended, nil
}

// ready waits until a node is.
func ready(ctx context.Context, operators string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+operators+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the node whose operators' pages are at %s is not ready: %w", operators, context.Cause(ctx))
}

// roundRobin sends each request to the next of the targets that takes connections.
func roundRobin(targets []string) http.Handler {
	var next atomic.Uint64
	dial := (&net.Dialer{Timeout: time.Second}).DialContext
	return &httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var failed error
				for range targets {
					c, err := dial(ctx, network, targets[next.Add(1)%uint64(len(targets))])
					if err == nil {
						return c, nil
					}
					failed = err
				}
				return nil, failed
			},
			DisableKeepAlives: true, // each request goes where the next one does
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil { // else the browser is gone
				log.Print(err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: r.In.Host})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
	}
}
