package scavenge

import (
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

// Memory is given back when little is allocated and much was, and then only.
func TestWhenItIsWorthIt(t *testing.T) {
	for name, tt := range map[string]struct {
		before, since uint64 // allocated before the last look and since, with 64 MiB that are live
		want          int
	}{
		"after a burst":                  {40 * mib, 0, 1},
		"after a burst, and hardly busy": {40 * mib, 4 * mib, 1},
		"in a burst":                     {40 * mib, 5 * mib, 0},
		"long idle":                      {0, 0, 0},
		"not enough to be worth it":      {11 * mib, 4 * mib, 0},
		"as much, little by little":      {12 * mib, 4 * mib, 1},
	} {
		t.Run(name, func(t *testing.T) {
			const given = 500 * mib
			freed := 0
			s := &scavenger{given: given, last: given + tt.before, free: func() { freed++ }, read: func() usage {
				return usage{live: 64 * mib, allocated: given + tt.before + tt.since}
			}}
			s.look()
			if freed != tt.want {
				t.Errorf("given back %d times, want %d", freed, tt.want)
			}
			s.look()
			if freed > 1 {
				t.Error("given back once more, for nothing")
			}
		})
	}
}

// However soon it is worth it again, giving memory back takes a hundredth of the time.
func TestItTakesLittleOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		freed, allocated := 0, uint64(0)
		s := &scavenger{
			read: func() usage { allocated += mib; return usage{live: 2 * mib, allocated: allocated} },
			free: func() { freed++; time.Sleep(250 * time.Millisecond) },
		}
		go s.run(t.Context())
		time.Sleep(100*time.Second + interval/2)
		synctest.Wait()
		if freed < 3 || freed > 4 {
			t.Errorf("given back %d times in 100 s, each time for 0.25 s", freed)
		}
	})
}

var kept []byte

// What a burst took is gone from the process with the first look that finds it idle.
func TestMemoryIsGivenBack(t *testing.T) {
	const burst = 64 * mib
	held := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64() - s[1].Value.Uint64()
	}
	kept = make([]byte, burst)
	for i := range kept {
		kept[i] = 1
	}
	s := newScavenger()
	s.look()
	had := held()
	kept = nil
	s.look()
	if now := held(); now > had-burst*3/4 {
		t.Errorf("the process holds %d MiB after a burst of %d, and held %d", now/mib, burst/mib, had/mib)
	}
}
