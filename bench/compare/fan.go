package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// fan is a server with clients that are in rooms: a peer's, or the floor's.
type fan struct {
	swarm   *swarm
	pids    []int
	clients int
	rooms   int
	// send emits to n rooms, from one on, or, where all is set, n times to everybody. It
	// returns when the server has taken that. Each emitter calls it one after the other.
	send func(ctx context.Context, emitter, from, n int, all bool) error

	next atomic.Int64 // room
	sent atomic.Int64 // deliveries that are due
}

// emitters is how many may call send at once.
const emitters = 16

// openFan connects clients to a peer, evenly over a time.
func openFan(ctx context.Context, p *peer, how protocol, clients, rooms int, over time.Duration) (*fan, error) {
	f := &fan{pids: []int{p.daemon}, clients: clients, rooms: rooms}
	var err error
	if f.swarm, err = newSwarm(); err != nil {
		return nil, err
	}
	ids, err := f.swarm.connect(ctx, p.addresses[0], how, clients, rooms, over)
	if err == nil && p.connected != nil {
		err = p.connected()
	}
	if err == nil {
		f.send, err = p.sender(ctx, ids)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fan) close() { f.swarm.close() }

// sender puts the clients with these ids into their rooms, where the server does not do so by
// itself, and returns what fan.send is.
func (p *peer) sender(ctx context.Context, ids [][]string) (func(context.Context, int, int, int, bool) error, error) {
	rooms := len(ids)
	if p.emitLine != nil {
		return func(_ context.Context, _, from, n int, all bool) error {
			return p.emitLine(from, n, roomsOf(rooms, all), payload())
		}, nil
	}
	if p.control == nil {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: emitters}}
		return func(ctx context.Context, _, from, n int, all bool) error {
			url := fmt.Sprintf("http://%s/emit?n=%d&rooms=%d&start=%d", p.addresses[0], n, roomsOf(rooms, all), from)
			_, err := askBy(ctx, client, http.MethodPost, url, payload())
			return err
		}, nil
	}
	if err := joinAll(ctx, p.control); err != nil {
		return nil, err
	}
	registry := fanoutv1.NewRegistryServiceClient(p.control)
	for i, members := range ids {
		for len(members) > 0 {
			n := min(len(members), 1000)
			_, err := registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: members[:n]}, Rooms: []string{fmt.Sprintf("r%d", i)}})
			if err != nil {
				return nil, err
			}
			members = members[n:]
		}
	}
	var streams [emitters]func(context.Context, []string, string) error
	for i := range streams {
		var err error
		if streams[i], err = emitterTo(ctx, p.control); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, emitter, from, n int, all bool) error {
		to := make([]string, n)
		for i := range to {
			if to[i] = "bench"; !all {
				to[i] = fmt.Sprintf("r%d", (from+i)%rooms)
			}
		}
		return streams[emitter](ctx, to, payload())
	}, nil
}

func roomsOf(rooms int, all bool) int {
	if all {
		return 0
	}
	return rooms
}

// emitterTo opens an EmitStream, and returns what sends an event to rooms, one after the other,
// and waits until all are taken.
func emitterTo(ctx context.Context, conn *grpc.ClientConn) (func(context.Context, []string, string) error, error) {
	stream, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(ctx)
	if err != nil {
		return nil, err
	}
	var sequence uint64
	return func(_ context.Context, rooms []string, payload string) error {
		args := `["` + payload + `"]`
		for _, room := range rooms {
			sequence++
			to := &fanoutv1.Target{Rooms: []string{room}}
			if err := stream.Send(&fanoutv1.EmitStreamRequest{Sequence: sequence, Emit: &fanoutv1.EmitRequest{To: to, Event: "m", ArgsJson: args}}); err != nil {
				return err
			}
		}
		for {
			res, err := stream.Recv()
			if err != nil {
				return err
			}
			if len(res.GetErrors()) > 0 {
				return fmt.Errorf("refused: %v", res.GetErrors())
			}
			if res.GetAckedThrough() >= sequence {
				return nil
			}
		}
	}, nil
}

// taken is what a window of deliveries cost.
type taken struct {
	count, reads int64
	cost         float64 // processor time of a delivery, us
	rate         float64 // deliveries, 1/s
	p99          float64 // ms, where times were taken
}

// deliver runs f for a time, waits until all that was sent has come, and tells what it cost.
func (f *fan) deliver(ctx context.Context, run func() error) (t taken, err error) {
	used, err := cpu(f.pids)
	if err != nil {
		return t, err
	}
	sent, reads, began := f.sent.Load(), f.swarm.reads.Load(), time.Now()
	if err := run(); err != nil {
		return t, err
	}
	if err := f.arrived(ctx); err != nil {
		return t, err
	}
	now, err := cpu(f.pids)
	if err != nil {
		return t, err
	}
	count := f.sent.Load() - sent
	return taken{
		count: count, reads: f.swarm.reads.Load() - reads,
		cost: micros(now-used) / float64(count), rate: float64(count) / time.Since(began).Seconds(),
	}, nil
}

// arrived waits until all that was sent has come; more is an error.
func (f *fan) arrived(ctx context.Context) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Microsecond) {
		switch got, want := f.swarm.events.Load(), f.sent.Load(); {
		case got == want:
			return nil
		case got > want || time.Now().After(deadline) || ctx.Err() != nil:
			return fmt.Errorf("%d deliveries, want %d", got, want)
		}
	}
}

// emit sends to the next n rooms, or n times to all.
func (f *fan) emit(ctx context.Context, emitter, n int, all bool) error {
	from := f.next.Add(int64(n)) - int64(n)
	members := f.clients / f.rooms
	if all {
		members = f.clients
	}
	if err := f.send(ctx, emitter, int(from)%f.rooms, n, all); err != nil {
		return err
	}
	f.sent.Add(int64(n * members))
	return nil
}

// perRequest is how many deliveries a request is for, where a backlog is kept.
const perRequest = 4000

// backlog keeps requests to rooms outstanding.
func (f *fan) backlog(ctx context.Context, outstanding int, window time.Duration) (taken, error) {
	return f.deliver(ctx, func() error {
		n := max(1, min(perRequest*f.rooms/f.clients, f.rooms))
		errs := make([]error, outstanding)
		var running sync.WaitGroup
		for i := range outstanding {
			running.Go(func() {
				for end := time.Now().Add(window); time.Now().Before(end) && errs[i] == nil; {
					errs[i] = f.emit(ctx, i, n, false)
				}
			})
		}
		running.Wait()
		return errors.Join(errs...)
	})
}

// alone emits to all, and again when all have it.
func (f *fan) alone(ctx context.Context, window time.Duration) (taken, error) {
	return f.deliver(ctx, func() error {
		for end := time.Now().Add(window); time.Now().Before(end); {
			if err := errors.Join(f.emit(ctx, 0, 1, true), f.arrived(ctx)); err != nil {
				return err
			}
		}
		return nil
	})
}

// paced emits so that there are so many deliveries a second.
func (f *fan) paced(ctx context.Context, rate int, all bool, window time.Duration) (taken, error) {
	f.swarm.sampled(true)
	t, err := f.deliver(ctx, func() error {
		members, n := f.clients/f.rooms, 1
		if all {
			members = f.clients
		} else {
			n = max(1, rate/members/200) // some at once, every 5 ms: a timer is not exact enough for one
		}
		every := time.Duration(float64(time.Second) * float64(n*members) / float64(rate))
		began := time.Now()
		for due := time.Duration(0); due < window; due += every {
			if err := errors.Join(pause(ctx, time.Until(began.Add(due))), f.emit(ctx, 0, n, all)); err != nil {
				return err
			}
		}
		return nil
	})
	_, p99 := percentiles(f.swarm.sampled(false))
	t.p99 = p99 / 1000
	return t, err
}

// startFloor starts the C program that does nothing but send(2).
func startFloor(ctx context.Context) (*peer, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	name, args, err := pinned("peers/floor/floor", []string{port})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() { in.Close(); _ = cmd.Wait() } // it ends with its input
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			stop()
			return nil, err
		}
	}
	var mu sync.Mutex
	lines := bufio.NewReader(out)
	return &peer{
		name: "floor", addresses: []string{address}, daemon: cmd.Process.Pid, all: []int{cmd.Process.Pid}, stop: stop,
		emitLine: func(from, n, rooms int, payload string) error {
			mu.Lock()
			defer mu.Unlock()
			if _, err := fmt.Fprintf(in, "%d %d %d %s\n", rooms, from, n, payload); err != nil {
				return err
			}
			_, err := lines.ReadString('\n')
			if errors.Is(err, io.EOF) {
				err = errors.New("the floor has ended: a socket took less than all")
			}
			return err
		},
	}, nil
}

// buildFloor compiles it.
func buildFloor(ctx context.Context) error {
	_, err := run(ctx, strings.Fields("cc -O2 -o peers/floor/floor peers/floor/floor.c"))
	return err
}
