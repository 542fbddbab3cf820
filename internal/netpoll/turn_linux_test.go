package netpoll

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// On one processor, who waits for the network gets its turn from one that never waits.
func TestTurnIsForTheNetwork(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	server, client := pair(t)
	defer server.Close()
	defer client.Close()
	turn := NewTurn()
	if turn == nil {
		t.Fatal("there is no turn")
	}
	defer turn.Close()
	const messages = 100
	var heard atomic.Int32
	go func() {
		b := make([]byte, 1)
		for {
			if _, err := server.Read(b); err != nil {
				return
			}
			heard.Add(1)
		}
	}()
	for i := range int32(messages) {
		if _, err := client.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		for turns := 0; heard.Load() <= i; turns++ {
			if turns == 100_000 {
				t.Fatalf("%d of %d messages were heard", heard.Load(), i+1)
			}
			turn.Give()
		}
	}
}

// A turn that there is not, or is not any more, waits for nothing.
func TestNoTurn(t *testing.T) {
	var none *Turn
	none.Give()
	none.Close()
	turn := NewTurn()
	turn.Close()
	turn.Give()
}

// BenchmarkTurn is a turn that nobody wants.
func BenchmarkTurn(b *testing.B) {
	turn := NewTurn()
	defer turn.Close()
	for b.Loop() {
		turn.Give()
	}
}
