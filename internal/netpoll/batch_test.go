//go:build linux

package netpoll

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
)

// batches calls test with a batch over an io_uring, with one whose system calls are refused
// after it was made, as by a filter that came later, and with one without.
func batches(t *testing.T, test func(t *testing.T, b *Batch)) {
	t.Run("io_uring", func(t *testing.T) {
		b := NewBatch()
		defer b.Close()
		if b.ring == nil {
			t.Skip("no io_uring here")
		}
		test(t, b)
	})
	t.Run("io_uring that breaks", func(t *testing.T) {
		b := NewBatch()
		if b.ring == nil {
			t.Skip("no io_uring here")
		}
		b.ring.ring.close()
		b.ring.ring.fd = 1 << 30 // of nothing
		b.ring.ring.rings, b.ring.ring.submitted = nil, nil
		ring := *b.ring.ring
		ring.tail, ring.head, ring.completed = new(uint32), new(uint32), new(uint32)
		ring.requests, ring.mask = make([]request, MaxBatch), MaxBatch-1
		b.ring.ring = &ring
		test(t, b)
	})
	t.Run("system calls", func(t *testing.T) { test(t, &Batch{}) })
}

// Each of a batch of writes comes to what it would by itself: of one buffer or many, more
// than a batch has room for, to a connection that is closed. What was written arrives, each
// byte where it belongs.
func TestBatch(t *testing.T) {
	batches(t, func(t *testing.T, b *Batch) {
		var p Poller
		for _, n := range []int{1, minTogether, MaxBatch} {
			servers, clients := make([]*net.TCPConn, n), make([]*net.TCPConn, n)
			want := make([]bytes.Buffer, n)
			for i := range n {
				servers[i], clients[i] = pair(t)
			}
			const closed = 1
			if n > closed {
				servers[closed].Close()
			}
			for round := range 3 {
				taken := make([][][]byte, n)
				for i := range n {
					var bufs [][]byte
					for k := range 1 + (i*round)%(2*MaxBuffers) {
						bufs = append(bufs, fmt.Appendf(nil, "%d.%d.%d ", i, round, k))
					}
					k := b.Add(p.Socket(servers[i]), bufs)
					if k < 1 || k > min(len(bufs), MaxBuffers) {
						t.Fatalf("%d of %d buffers are taken", k, len(bufs))
					}
					taken[i] = bufs[:k]
				}
				if b.Len() != n {
					t.Errorf("%d writes of %d", b.Len(), n)
				}
				if made := b.Write(); made != n || b.Len() != 0 {
					t.Errorf("%d writes of %d were made, %d are left", made, n, b.Len())
				}
				for i := range n {
					all := bytes.Join(taken[i], nil)
					sent, err := b.Result(i)
					switch i {
					case closed:
						if sent != 0 || err == nil {
							t.Errorf("to a closed connection: %d, %v", sent, err)
						}
					default:
						if sent != len(all) || err != nil {
							t.Errorf("the write %d: %d bytes of %d, %v", i, sent, len(all), err)
						}
					}
					want[i].Write(all[:sent])
				}
			}
			for i := range n {
				if i == closed {
					continue
				}
				servers[i].Close()
				got, err := io.ReadAll(clients[i])
				if err != nil || !bytes.Equal(got, want[i].Bytes()) {
					t.Errorf("the connection %d got %q, %v; want %q", i, got, err, want[i].Bytes())
				}
			}
		}
	})
}

// A connection that takes nothing says so, without an error.
func TestBatchFull(t *testing.T) {
	batches(t, func(t *testing.T, b *Batch) {
		var p Poller
		var v Vector
		var sockets [minTogether]Socket
		for i := range sockets {
			server, _ := pair(t)
			sockets[i] = p.Socket(server)
		}
		for range 100 { // the system may find more room for it
			for n := 1; n > 0; {
				var err error
				if n, err = sockets[0].TryWrite(&v, [][]byte{make([]byte, 1<<16)}); err != nil {
					t.Fatal(err)
				}
			}
			for _, s := range sockets {
				b.Add(s, [][]byte{[]byte("x")})
			}
			b.Write()
			for i := range sockets {
				if _, err := b.Result(i); err != nil {
					t.Fatal(err)
				}
			}
			if sent, _ := b.Result(0); sent == 0 {
				return
			}
		}
		t.Error("it takes more without end")
	})
}

// A connection that takes a part of a write says how much, and one whose peer is gone an
// error, among others that take all.
func TestBatchInPart(t *testing.T) {
	batches(t, func(t *testing.T, b *Batch) {
		var p Poller
		const n, part, reset = 8, 3, 5
		servers, clients := make([]*net.TCPConn, n), make([]*net.TCPConn, n)
		for i := range n {
			servers[i], clients[i] = pair(t)
		}
		clients[reset].SetLinger(0)
		clients[reset].Close()
		p.Socket(servers[reset]).AwaitInput()
		much := make([]byte, 64<<20) // more than buffers hold
		for i := range n {
			bufs := [][]byte{[]byte("one"), []byte("two")}
			if i == part {
				bufs[1] = much
			}
			b.Add(p.Socket(servers[i]), bufs)
		}
		b.Write()
		for i := range n {
			sent, err := b.Result(i)
			switch i {
			case part:
				if sent == 0 || sent >= len(much) || err != nil {
					t.Errorf("%d bytes of too many, %v", sent, err)
				}
				servers[i].Close()
				if got, err := io.ReadAll(clients[i]); err != nil || len(got) != sent {
					t.Errorf("%d bytes arrived of %d, %v", len(got), sent, err)
				}
			case reset:
				if sent != 0 || err == nil {
					t.Errorf("to a peer that is gone: %d, %v", sent, err)
				}
			default:
				if sent != 6 || err != nil {
					t.Errorf("the write %d: %d, %v", i, sent, err)
				}
			}
		}
	})
}

func TestBatchAllocatesNothing(t *testing.T) {
	batches(t, func(t *testing.T, b *Batch) {
		var p Poller
		var sockets [MaxBatch]Socket
		for i := range sockets {
			server, client := pair(t)
			go io.Copy(io.Discard, client)
			sockets[i] = p.Socket(server)
		}
		bufs := [][]byte{[]byte("one"), []byte("two")}
		if n := testing.AllocsPerRun(100, func() {
			for _, s := range sockets {
				b.Add(s, bufs)
			}
			for i := range b.Write() {
				if sent, err := b.Result(i); sent != 6 || err != nil {
					t.Error(sent, err)
				}
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// Batches leave no file open and nothing mapped.
func TestBatchCloses(t *testing.T) {
	before := openFiles(t)
	for range 100 {
		NewBatch().Close()
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

// The ring is used where the system has all that it is asked for: Linux 5.4 and 5.5 have an
// io_uring that does not know send(2).
func TestRingSuffices(t *testing.T) {
	for features, want := range map[uint32]bool{
		0:       false,
		0b1:     false, // 5.4
		0b111:   false, // 5.5
		0b11111: true,  // 5.6
		0b11000: false,
	} {
		if p := (&ringParams{features: features}); p.suffice() != want {
			t.Errorf("features %#b suffice: %v", features, !want)
		}
	}
}
