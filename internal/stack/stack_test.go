package stack

import (
	"fmt"
	"testing"
)

// use recurses n times; a call takes about 160 bytes of stack.
//
//go:noinline
func use(n int) int {
	var frame [96]byte
	frame[n%len(frame)] = byte(n)
	if n == 0 {
		return int(frame[0])
	}
	return use(n-1) + int(frame[n%len(frame)])
}

func TestReserve(t *testing.T) {
	got := make(chan int)
	go func() {
		Reserve()
		got <- use(50)
	}()
	if n := <-got; n != 50*51/2 {
		t.Errorf("after Reserve a computation gives %d, want %d", n, 50*51/2)
	}
	if allocs := testing.AllocsPerRun(10, Reserve); allocs != 0 {
		t.Errorf("Reserve allocates %v times", allocs)
	}
}

// A goroutine that uses as much stack, with what it needs reserved and without.
func BenchmarkReserve(b *testing.B) {
	for _, calls := range []int{10, 30, 60} {
		for _, reserve := range []bool{false, true} {
			b.Run(fmt.Sprintf("calls=%d/reserve=%v", calls, reserve), func(b *testing.B) {
				done := make(chan int)
				for b.Loop() {
					go func() {
						if reserve {
							Reserve()
						}
						done <- use(calls)
					}()
					<-done
				}
			})
		}
	}
}
