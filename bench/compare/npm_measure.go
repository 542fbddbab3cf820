package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sample is one measurement of one program.
type sample struct {
	rate         float64 // 1/s
	node, daemon float64 // processor time of each thing that was done, us
}

// npmFigures are what is measured, in the order of the table.
var npmFigures = []struct {
	name  string
	paced bool // its rate is given
	take  func(ctx context.Context, p *program, window time.Duration) (sample, error)
}{
	{"event, 64 clients", false, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.events(ctx, 64, 20, window)
	}},
	{"event with an ack, 64 clients", false, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.events(ctx, 64, 1, window)
	}},
	{"event with an ack, one client", false, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.events(ctx, 1, 1, window)
	}},
	{"emit with an ack, 64 clients", false, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.asks(ctx, 64, window)
	}},
	{"broadcast to 40, one every 2 ms", true, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.broadcasts(ctx, "few", few, 1, 2*time.Millisecond, window)
	}},
	{"broadcast to 40, 16 every 32 ms", true, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.broadcasts(ctx, "few", few, 16, 32*time.Millisecond, window)
	}},
	{"write to a socket, one every 2 ms", true, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.writes(ctx, "net", window)
	}},
	{"write to an HTTP/2 stream, one every 2 ms", true, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.writes(ctx, "http2", window)
	}},
	{"broadcast to all, one every 250 ms", true, func(ctx context.Context, p *program, window time.Duration) (sample, error) {
		return p.broadcasts(ctx, "all", len(p.clients), 1, 250*time.Millisecond, window)
	}},
}

// few is how many clients the program puts into the room "few".
const few = 40

// npmClient is a client that counts broadcasts and answers what it is asked.
type npmClient struct {
	*client
	broadcasts *atomic.Int64 // all clients' of the program
}

func (p *program) disconnect() {
	for _, c := range p.clients {
		c.conn.Close()
	}
}

// connect opens all clients, eight at a time, and waits until the program has them.
func (p *program) connect(ctx context.Context, n int) error {
	clients := make([]*npmClient, n)
	var dialling sync.WaitGroup
	errs := make(chan error, 8)
	for worker := range 8 {
		dialling.Go(func() {
			for i := worker; i < n; i += 8 {
				c, err := dial(ctx, p.address)
				if err != nil {
					errs <- err
					return
				}
				clients[i] = &npmClient{c, &p.came}
			}
		})
	}
	dialling.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	p.clients = clients
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		there, err := p.ask(ctx, "connected", nil)
		if err != nil {
			return err
		}
		if int(there) == n {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the program has %v clients of %d", there, n)
		}
	}
	for _, c := range clients {
		go c.listen()
	}
	return nil
}

// listen takes what comes until the connection ends.
func (c *npmClient) listen() {
	for {
		frame, err := c.read()
		if err != nil {
			return
		}
		switch {
		case len(frame) == 1 && frame[0] == '2':
			c.say("3")
		case bytes.HasPrefix(frame, []byte("43")):
			c.acks <- struct{}{}
		case bytes.HasPrefix(frame, []byte(`42["m","`)):
			c.broadcasts.Add(1)
		case bytes.HasPrefix(frame, []byte("42")) && bytes.Contains(frame, []byte(`["ask","`)):
			id, args, _ := bytes.Cut(frame[2:], []byte("["))
			c.say("43" + string(id) + "[" + string(args[len(`"ask",`):]))
		}
	}
}

var eventText = strings.Repeat("x", payloadSize)

// events has clients send events, of every so many the last with an ack that is awaited.
func (p *program) events(ctx context.Context, clients, burst int, window time.Duration) (sample, error) {
	before, err := p.ask(ctx, "events", nil)
	if err != nil {
		return sample{}, err
	}
	began, used := time.Now(), p.used(ctx)
	end := began.Add(window)
	var sending sync.WaitGroup
	for _, c := range p.clients[:clients] {
		sending.Go(func() {
			for time.Now().Before(end) {
				for range burst - 1 {
					c.say(`42["e","` + eventText + `"]`)
				}
				c.say(`421["e","` + eventText + `"]`)
				<-c.acks
			}
		})
	}
	sending.Wait()
	took, cost := time.Since(began), p.used(ctx)
	after, err := p.ask(ctx, "events", nil)
	if err != nil {
		return sample{}, err
	}
	n := after - before
	return of(n, took, used, cost), nil
}

// asks has the program ask clients.
func (p *program) asks(ctx context.Context, clients int, window time.Duration) (sample, error) {
	began, used := time.Now(), p.used(ctx)
	n, err := p.ask(ctx, "ask", url.Values{"clients": {fmt.Sprint(clients)}, "ms": {fmt.Sprint(window.Milliseconds())}})
	took, cost := time.Since(began), p.used(ctx)
	return of(n, took, used, cost), err
}

// broadcasts has the program send to a room of so many, and waits until all have come.
func (p *program) broadcasts(ctx context.Context, room string, members, burst int, every, window time.Duration) (sample, error) {
	n := max(1, int(window/every)) * burst
	want := p.came.Load() + int64(n*members)
	began, used := time.Now(), p.used(ctx)
	_, err := p.ask(ctx, "broadcast", url.Values{
		"to": {room}, "n": {fmt.Sprint(n)}, "burst": {fmt.Sprint(burst)}, "every": {fmt.Sprint(every.Milliseconds())},
	})
	if err != nil {
		return sample{}, err
	}
	for deadline := time.Now().Add(time.Minute); p.came.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return sample{}, fmt.Errorf("%d deliveries have not come", want-p.came.Load())
		}
	}
	return of(float64(n), time.Since(began), used, p.used(ctx)), nil
}

// writes has the program do nothing but write to one socket, or to one HTTP/2 stream: what a
// broadcast costs at least where each wakes Node.js.
func (p *program) writes(ctx context.Context, by string, window time.Duration) (sample, error) {
	const every, size = 2 * time.Millisecond, 100
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return sample{}, err
	}
	defer l.Close()
	came := make(chan int64, 1)
	take := func(r io.Reader) {
		n, _ := io.Copy(io.Discard, r)
		came <- n
	}
	if by == "http2" {
		server := &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { take(r.Body) })}
		server.Protocols.SetUnencryptedHTTP2(true)
		go func() { _ = server.Serve(l) }()
		defer server.Close()
	} else {
		go func() {
			if c, err := l.Accept(); err == nil {
				defer c.Close()
				take(c)
			}
		}()
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n := max(1, int(window/every))
	began, used := time.Now(), p.used(ctx)
	_, err = p.ask(ctx, "write", url.Values{"by": {by}, "port": {port}, "n": {fmt.Sprint(n)}, "size": {fmt.Sprint(size)}, "every": {fmt.Sprint(every.Milliseconds())}})
	if err != nil {
		return sample{}, err
	}
	took, cost := time.Since(began), p.used(ctx)
	select {
	case got := <-came:
		if got != int64(n*size) {
			return sample{}, fmt.Errorf("%d bytes came, want %d", got, n*size)
		}
	case <-time.After(time.Minute):
		return sample{}, errors.New("the program does not end what it writes")
	}
	return of(float64(n), took, used, cost), nil
}

// usage is processor time.
type usage struct{ node, daemon time.Duration }

// used is what the processes have used, as far as they can be asked. Of the program it is not in
// ticks, as the system has it of others: some figures are few of these.
func (p *program) used(ctx context.Context) usage {
	var u usage
	if used, err := p.ask(ctx, "cpu", nil); err == nil {
		u.node = time.Duration(used) * time.Microsecond
	}
	if p.daemon != 0 {
		u.daemon, _ = cpu([]int{p.daemon})
	}
	return u
}

// of is n things that took so long, and used what two readings of used differ by.
func of(n float64, took time.Duration, before, after usage) sample {
	return sample{n / took.Seconds(), micros(after.node-before.node) / n, micros(after.daemon-before.daemon) / n}
}
