package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// peer is a server under measurement, with the application that it needs.
type peer struct {
	name      string
	addresses []string // where clients connect, in turn
	daemon    int      // the process that browsers connect to, or one of them
	all       []int    // those and the others that take part: an application's, a Redis
	emit      func(ctx context.Context, n int, payload string) error
	heap      func(ctx context.Context) (int64, error) // the daemon's, in bytes, after a collection; nil: it cannot tell
	joined    func(ctx context.Context) error          // called when all clients are there
	stop      func()
	apart     int // of its clients each so-many-th is at the first node, and the application elsewhere; 0: there is one node

	connected func() error // called when clients are connected, before they join rooms; may be nil

	control  *grpc.ClientConn                               // of fanoutd; nil: another
	emitLine func(from, n, rooms int, payload string) error // of the floor; nil: another
}

// startFanoutd starts the daemon and, as another process, a backend that echoes.
func startFanoutd(ctx context.Context, binary string, environment ...string) (*peer, error) {
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	name, args, err := pinned(binary, []string{"--listen", addresses[0], "--control-listen", addresses[1], "--ops-listen", addresses[2],
		"--log-level", "error", "--grace", "1s", "--max-sessions", "0"}, environment...)
	if err != nil {
		return nil, err
	}
	cmd, stopDaemon, err := start(ctx, addresses[0], name, args...)
	if err != nil {
		return nil, err
	}
	app, stopApp, err := startEcho(ctx, addresses[1])
	if err != nil {
		stopDaemon()
		return nil, err
	}
	stop := func() { stopApp(); stopDaemon() }
	conn, err := grpc.NewClient(addresses[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		stop()
		return nil, err
	}
	emit, err := emitter(ctx, conn)
	if err != nil {
		stop()
		return nil, err
	}
	return &peer{
		name: "fanoutd", addresses: addresses[:1], daemon: cmd.Process.Pid, all: []int{cmd.Process.Pid, app.Process.Pid},
		stop:   func() { conn.Close(); stop() },
		joined: func(ctx context.Context) error { return joinAll(ctx, conn) },
		emit:   emit, control: conn,
		heap: func(ctx context.Context) (int64, error) { return goHeap(ctx, addresses[2]) },
	}, nil
}

// startEcho starts the application beside fanoutd, as a process of its own.
func startEcho(ctx context.Context, address string) (cmd *exec.Cmd, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	name, args, err := pinned(self, []string{"echo", address})
	if err != nil {
		return nil, nil, err
	}
	return start(ctx, address, name, args...)
}

// goHeap returns the live heap of a Go program, in bytes, from its profiles.
func goHeap(ctx context.Context, address string) (int64, error) {
	text, err := get(ctx, "http://"+address+"/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(text, "# HeapAlloc = ")
	value, _, _ := strings.Cut(after, "\n")
	return strconv.ParseInt(value, 10, 64)
}

// joinAll puts everybody into the room "bench".
func joinAll(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := fanoutv1.NewRegistryServiceClient(conn).Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{All: true}, Rooms: []string{"bench"}})
	return err
}

// emitter opens an EmitStream, and returns what sends an event to the room n times.
func emitter(ctx context.Context, conn *grpc.ClientConn) (emit func(ctx context.Context, n int, payload string) error, err error) {
	stream, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(ctx)
	if err != nil {
		return nil, err
	}
	var sequence uint64
	var acked atomic.Uint64
	news := make(chan struct{}, 1)
	go func() {
		for {
			res, err := stream.Recv()
			if err != nil {
				return
			}
			acked.Store(res.GetAckedThrough())
			select {
			case news <- struct{}{}:
			default:
			}
		}
	}()
	bench := &fanoutv1.Target{Rooms: []string{"bench"}}
	return func(ctx context.Context, n int, payload string) error {
		args := `["` + payload + `"]`
		for range n {
			sequence++
			if err := stream.Send(&fanoutv1.EmitStreamRequest{Sequence: sequence, Emit: &fanoutv1.EmitRequest{To: bench, Event: "m", ArgsJson: args}}); err != nil {
				return err
			}
		}
		for acked.Load() < sequence {
			select {
			case <-news:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}, nil
}

// echo is the application beside fanoutd: it answers every "echo".
func echo(ctx context.Context, address string) error {
	daemon, err := backend.Dial(ctx, address, backend.Options{})
	if err != nil {
		return err
	}
	defer daemon.Close()
	c := daemon.Consumer(backend.ConsumerOptions{Group: "echo"})
	c.On("echo", func(_ context.Context, e *backend.Event) (backend.Reply, error) {
		var value string
		if err := e.Args.Decode(&value); err != nil {
			return nil, err
		}
		return backend.Reply{value}, nil
	})
	return c.Run(ctx)
}

// start starts a process and waits until address takes connections. stop ends
// it by its process id and waits.
func start(ctx context.Context, address, name string, args ...string) (cmd *exec.Cmd, stop func(), err error) {
	cmd = exec.CommandContext(ctx, name, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		killer := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		killer.Stop()
	}
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return cmd, stop, nil
		}
		time.Sleep(25 * time.Millisecond)
	}
	stop()
	return nil, nil, fmt.Errorf("%s does not listen on %s: %s", name, address, output.String())
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
