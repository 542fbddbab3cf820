//go:build linux

package netpoll

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/direct"
)

// pair returns both ends of a TCP connection.
func pair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	s, c := ends(t, "tcp", "127.0.0.1:0")
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// ends returns both ends of a connection to such an address.
func ends(t testing.TB, network, address string) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

func TestSocketOf(t *testing.T) {
	var p Poller
	defer p.Close()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if s := p.Socket(a); s != nil {
		t.Errorf("a pipe has the socket %v", s)
	}
	server, _ := pair(t)
	if p.Socket(server) == nil {
		t.Error("a TCP connection has none")
	}
	if p.Socket(direct.Conn(server)) == nil {
		t.Error("one that is read directly has none")
	}
}

func TestSilent(t *testing.T) {
	var p Poller
	server, client := pair(t)
	s := p.Socket(server)
	if !s.Silent() {
		t.Error("a new connection is not silent")
	}
	client.Write([]byte("x"))
	s.AwaitInput()
	if s.Silent() {
		t.Error("a connection with a byte to read is silent")
	}
	io.ReadFull(server, make([]byte, 1))
	if !s.Silent() {
		t.Error("not silent after the read")
	}
	client.Close()
	s.AwaitInput()
	if s.Silent() {
		t.Error("silent after the end")
	}
	server.Close()
	if s.Silent() {
		t.Error("silent when closed")
	}
}

// TestSilentBesideAwaitInput: a look at a connection does not wait for the reader
// that waits for its input.
func TestSilentBesideAwaitInput(t *testing.T) {
	var p Poller
	defer p.Close()
	server, client := pair(t)
	s := p.Socket(server)
	waited := make(chan struct{})
	go func() {
		s.AwaitInput()
		close(waited)
	}()
	for range 20 {
		time.Sleep(time.Millisecond) // so that AwaitInput has begun; nothing depends on when
		looked := make(chan bool, 1)
		go func() { looked <- s.Silent() }()
		select {
		case silent := <-looked:
			if !silent {
				t.Fatal("a connection on which nothing came is not silent")
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Silent waits for AwaitInput")
		}
	}
	client.Write([]byte("x"))
	<-waited
}

// AwaitInput ends with the read deadline.
func TestAwaitInputDeadline(t *testing.T) {
	var p Poller
	server, _ := pair(t)
	server.SetReadDeadline(time.Now())
	p.Socket(server).AwaitInput() // or the test times out
}

// What a connection takes at once is what its peer receives, whole and in order,
// and a connection that takes nothing says so.
func TestTryWrite(t *testing.T) {
	var p Poller
	var v Vector
	server, client := pair(t)
	s := p.Socket(server)
	var bufs [][]byte
	for i := range 2 * MaxBuffers {
		bufs = append(bufs, bytes.Repeat([]byte{byte(i)}, 1+i%1000))
	}
	want, sent := bytes.Join(bufs, nil), 0
	n, err := s.TryWrite(&v, bufs)
	if first := len(bytes.Join(bufs[:MaxBuffers], nil)); err != nil || n > first || n == 0 {
		t.Fatalf("wrote %d bytes, %v; want %d at most", n, err, first)
	}
	sent += n
	for {
		n, err := s.TryWrite(&v, [][]byte{want})
		if err != nil {
			t.Fatal(err)
		}
		if sent += n; n == 0 {
			break
		}
	}
	got := make([]byte, sent)
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(got, bytes.Join(bufs[:1], nil)) || !bytes.HasSuffix(bytes.Repeat(want, sent/len(want)+2), nil) {
		t.Error("other bytes")
	}
	client.Close()
	server.Close()
	if _, err := s.TryWrite(&v, bufs); err == nil {
		t.Error("no error from a closed connection")
	}
}

func TestTryWriteAllocatesNothing(t *testing.T) {
	var p Poller
	v := new(Vector)
	server, client := pair(t)
	go io.Copy(io.Discard, client)
	s := p.Socket(server)
	bufs := [][]byte{[]byte("one"), []byte("two")}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.TryWrite(v, bufs); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// Connections park, hear something, are unparked and end in random order: each
// has one reader at most, reads all it is sent, and leaves nothing behind.
func TestPollerStress(t *testing.T) {
	const conns, messages = 200, 50
	before := openFiles(t)
	p := new(Poller)
	var all sync.WaitGroup
	for i := range conns {
		server, client := pair(t)
		r := rand.New(rand.NewPCG(uint64(i), 2))
		var readers, got atomic.Int32
		var c *Conn
		done := make(chan struct{})
		read := func() {
			if readers.Add(1) != 1 {
				t.Error("two readers")
			}
			b := make([]byte, 16)
			for {
				if c.Silent() {
					readers.Add(-1)
					if c.Park() {
						return
					}
					readers.Add(1)
				}
				n, err := server.Read(b)
				if got.Add(int32(n)); err != nil {
					readers.Add(-1)
					c.Release()
					server.Close()
					close(done)
					return
				}
			}
		}
		c = NewConn(p.Socket(server), readyFunc(func() { go read() }))
		go read()
		sent := int32(0)
		all.Go(func() {
			for range messages {
				n, err := client.Write([]byte(strings.Repeat("x", 1+r.IntN(40))))
				if sent += int32(n); err != nil {
					t.Error(err)
				}
				if r.IntN(50) == 0 {
					c.Unpark()
				}
			}
			switch r.IntN(3) {
			case 0:
				client.CloseWrite()
			case 1:
				go c.Unpark()
				client.CloseWrite()
			case 2:
				server.SetReadDeadline(time.Now())
				c.Unpark()
			}
			<-done
			if got.Load() > sent {
				t.Errorf("read %d bytes of %d", got.Load(), sent)
			}
			client.Close()
		})
	}
	all.Wait()
	if n := p.Watched(); n != 0 {
		t.Errorf("%d slots are left", n)
	}
	p.Close()
	p.Close()
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

// The poller waits as others wait for the network, not in a system call, which would keep
// the processor from those that are to run on it.
func TestPollerHoldsNoProcessor(t *testing.T) {
	var p Poller
	defer p.Close()
	server, client := pair(t)
	heard := make(chan struct{})
	c := NewConn(p.Socket(server), readyFunc(func() { close(heard) }))
	defer c.Release()
	if !c.Park() {
		t.Fatal("cannot park")
	}
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		state := "none"
		for s := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(s, "(*Poller).run(") {
				_, state, _ = strings.Cut(s, "[")
				state, _, _ = strings.Cut(state, "]")
			}
		}
		if strings.HasPrefix(state, "IO wait") {
			break
		}
		if state == "syscall" || time.Now().After(deadline) {
			t.Fatalf("the poller's goroutine is in the state %q", state)
		}
	}
	client.Write([]byte("x"))
	<-heard
}

func BenchmarkPark(b *testing.B) {
	var p Poller
	server, client := pair(b)
	ready := make(chan struct{})
	c := NewConn(p.Socket(server), readyFunc(func() { ready <- struct{}{} }))
	x := []byte("x")
	b.ReportAllocs()
	for b.Loop() {
		if !c.Park() {
			b.Fatal("cannot park")
		}
		client.Write(x)
		<-ready
		server.Read(x)
	}
	c.Release()
	p.Close()
}

// wrapped is a connection that says which TCP connection it stands for.
type wrapped struct {
	net.Conn
	tcp *net.TCPConn
}

func (w wrapped) TCP() *net.TCPConn { return w.tcp }

func TestSocketOfWrapped(t *testing.T) {
	var p Poller
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, want := p.Socket(wrapped{c, c.(*net.TCPConn)}) != nil, p.Socket(c) != nil; got != want {
		t.Errorf("a wrapped TCP connection has a socket: %v, a TCP connection: %v", got, want)
	}
	if p.Socket(wrapped{a, nil}) != nil {
		t.Error("what is no TCP connection has a socket")
	}
}
