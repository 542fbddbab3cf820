package test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// attackHeaders sends headers without end: many of them, one long one, and a
// long address. The 16 KiB that one request may have bound the memory.
func attackHeaders(t *testing.T, binary string) {
	s := besiege(t, binary)
	filler := repeat([]byte("x"), 64<<10)
	line := append([]byte("X-Filler: "), filler[:1000]...)
	var most atomic.Int64
	for _, a := range []struct {
		name, start string
		filler      []byte
	}{
		{"many", "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n", repeat(append(line, "\r\n"...), 64<<10)},
		{"one", "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\nX-Filler: ", filler},
		{"address", "GET /socket.io/?EIO=4&transport=polling&x=", filler},
	} {
		err := swarm(20, 20, func(int) error {
			c, err := s.dial()
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := io.WriteString(c, a.start); err != nil {
				return err
			}
			sent, err := pour(c, a.filler, enough)
			most.Store(max(most.Load(), sent))
			if err == nil {
				return fmt.Errorf("%d bytes were taken", sent)
			}
			if answer, _ := io.ReadAll(c); len(answer) > 0 && !bytes.HasPrefix(answer, []byte("HTTP/1.1 431 ")) {
				return fmt.Errorf("answered %.100q", answer)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
	}
	t.Logf("connections took up to %.1f MiB of headers, kernel included", mib(most.Load()))
	s.lift(smallGrowth)
}

// attackBodies posts a gigabyte: announced, in chunks, and compressed. What is
// read of a body, and what becomes of it, is bounded by max-payload.
func attackBodies(t *testing.T, binary string) {
	s := besiege(t, binary)
	const posters = 20
	bomb := gzipBomb()
	var most atomic.Int64
	err := swarm(posters, posters, func(int) error {
		p := s.polling()
		if err := p.open(""); err != nil {
			return err
		}
		for _, start := range []string{"Content-Length: 1073741824\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
			status, sent, err := s.pourBody(p, start)
			most.Store(max(most.Load(), sent))
			if err != nil || status != http.StatusRequestEntityTooLarge {
				return fmt.Errorf("%.20s was answered %d after %d bytes: %w", start, status, sent, err)
			}
		}
		if err := p.post("3"); err != nil {
			return fmt.Errorf("the session does not live on: %w", err)
		}
		p.header = http.Header{"Content-Encoding": {"gzip"}}
		var refused errStatus
		if err := p.post(bomb); !errors.As(err, &refused) || refused.status != http.StatusBadRequest {
			return fmt.Errorf("a compressed body was answered %w", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("connections took up to %.1f MiB of a body, kernel included", mib(most.Load()))
	s.lift(posters*4*maxPayload + smallGrowth) // what is read, and the buffers it outgrew
}

// maxPayload is the setting's default.
const maxPayload = 1_000_000

// pourBody posts a body without end and returns the status of the answer.
func (s *siege) pourBody(p *polling, start string) (status int, sent int64, err error) {
	c, err := s.dial()
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "POST /socket.io/?%s HTTP/1.1\r\nHost: here\r\n%s", p.query(), start)
	if err != nil {
		return 0, 0, err
	}
	sent, err = pour(c, append(append([]byte("ffff\r\n"), repeat([]byte("x"), 0xffff)...), "\r\n"...), enough)
	if err == nil {
		return 0, sent, errors.New("all of it was taken")
	}
	var answer [len("HTTP/1.1 413")]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return 0, sent, err
	}
	_, err = fmt.Sscanf(string(answer[:]), "HTTP/1.1 %d", &status)
	return status, sent, err
}

// gzipBomb is 900 MB of zeros in less than max-payload.
func gzipBomb() string {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, _ = z.Write(make([]byte, 64<<20))                  // a buffer takes everything
	_ = z.Close()
	return strings.Repeat(b.String(), 900/64) // members of one file
}

// trickle sends a byte on each connection now and then, until the test ends.
func (s *siege) trickle(conns []net.Conn) {
	var running sync.WaitGroup
	s.Cleanup(running.Wait)
	running.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, c := range conns {
				_, _ = c.Write([]byte("x")) // an error: the daemon has lost patience
			}
			select {
			case <-tick.C:
			case <-s.ctx.Done():
				return
			}
		}
	})
	s.Cleanup(func() {
		s.giveUp()
		for _, c := range conns {
			_ = c.Close()
		}
	})
}

// started opens n connections, each of which sends a request that start makes
// and goes no further.
func (s *siege) started(n int, start func() (string, error)) []net.Conn {
	s.Helper()
	conns := make([]net.Conn, n)
	err := swarm(n, 32, func(i int) error {
		request, err := start()
		if err != nil {
			return err
		}
		c, err := s.dial()
		if err != nil {
			return err
		}
		conns[i] = c
		_, err = io.WriteString(c, request)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return conns
}

// attackSlowly sends headers and bodies a byte now and then. The 10 s for
// headers, and a heartbeat's worth for bodies, are what reclaims them.
func attackSlowly(t *testing.T, binary string) {
	s := besiege(t, binary)
	const each = 750
	client := s.polling().client
	headers := s.started(each, func() (string, error) { return "GET / HTTP/1.1\r\nHost: here\r\nX: ", nil })
	bodies := s.started(each, func() (string, error) {
		p := &polling{ctx: s.ctx, client: client, address: s.listen}
		err := p.open("")
		return fmt.Sprintf("POST /socket.io/?%s HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n4", p.query()), err
	})
	s.trickle(append(headers, bodies...))
	s.lift(2*each*slowRequest + smallGrowth)
}

// slowRequest is what a request that is being read takes, in bytes: a goroutine's
// stack, two buffers, and the session of a body.
const slowRequest = 40 << 10

// attackUnwanted sends requests with bodies that nobody reads, and never ends them.
func attackUnwanted(t *testing.T, binary string) {
	s := besiege(t, binary)
	const each = 200
	var conns []net.Conn
	for _, target := range []string{
		"POST /socket.io/?EIO=4&transport=polling&sid=nobody",
		"POST /socket.io/?EIO=4&transport=polling",
		"GET /socket.io/?EIO=4&transport=polling",
		"GET /socket.io/socket.io.min.js",
		"POST /nowhere",
	} {
		request := target + " HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nx"
		conns = append(conns, s.started(each, func() (string, error) { return request, nil })...)
	}
	s.trickle(nil)
	s.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	s.lift(5*each*slowRequest + smallGrowth)
}

// attackUnreadPolls has sessions fetch all that may wait for them, and not read it.
func attackUnreadPolls(t *testing.T, binary string) {
	s := besiege(t, binary)
	s.patience = 45 * time.Second // a closed session awaits its last poll for 30 s
	const pollers = 20
	namespace := strings.Repeat("x", maxPayload-100)
	conns := make([]net.Conn, pollers)
	err := swarm(pollers, 4, func(i int) error {
		p := s.polling()
		if err := p.open(""); err != nil {
			return err
		}
		for range maxQueue / maxPayload { // refused, with the name in the answer
			if err := p.post("40/" + namespace + ","); err != nil {
				return err
			}
		}
		c, err := s.dialSmall()
		if err != nil {
			return err
		}
		conns[i] = c
		_, err = fmt.Fprintf(c, "GET /socket.io/?%s HTTP/1.1\r\nHost: here\r\n\r\n", p.query())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	s.lift(pollers*4*maxQueue + smallGrowth) // the queue, the payload made of it, and garbage
}

// maxQueue is the setting's default.
const maxQueue = 4 << 20
