package room

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"
)

func crowd(n int) (*Registry[int], []*Entry[int]) {
	r := New[int]()
	entries := make([]*Entry[int], n)
	for i := range entries {
		entries[i] = r.Add("id-"+strconv.Itoa(i), "", i)
		r.Join(entries[i], "room")
	}
	return r, entries
}

func BenchmarkSelect(b *testing.B) {
	for _, n := range []int{1, 1_000, 10_000} {
		r, _ := crowd(n)
		for name, s := range map[string]Selector{
			"room":       {Rooms: []string{"room"}},
			"all":        {All: true},
			"union":      {Rooms: []string{"room", "other"}},
			"all-except": {All: true, Except: []string{"id-0"}},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				sum := 0
				b.ReportAllocs()
				for b.Loop() {
					r.Select(s, func(e *Entry[int]) { sum += e.Value })
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/member")
			})
		}
	}
}

// BenchmarkJoinLeave moves one member in and out of a room of n.
func BenchmarkJoinLeave(b *testing.B) {
	for _, n := range []int{1, 1_000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r, _ := crowd(n)
			e := r.Add("late", "", 0)
			b.ReportAllocs()
			for b.Loop() {
				r.Join(e, "room")
				r.Leave(e, "room")
			}
		})
	}
}

func BenchmarkAddRemove(b *testing.B) {
	r, _ := crowd(10_000)
	b.ReportAllocs()
	for b.Loop() {
		r.Remove(r.Add("late", "user", 0))
	}
}

func BenchmarkRooms(b *testing.B) {
	r, _ := crowd(100_000)
	for b.Loop() {
		r.Rooms("", "id-5", 1000)
	}
}

// BenchmarkMemory reports what a member in one room besides its own costs,
// its id not counted.
func BenchmarkMemory(b *testing.B) {
	const n = 50_000
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "id-" + strconv.Itoa(i)
	}
	for b.Loop() {
		before := heap()
		r := New[int]()
		for i, id := range ids {
			r.Join(r.Add(id, "", i), "room")
		}
		b.ReportMetric(float64(heap()-before)/n, "B/member")
		runtime.KeepAlive(r)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
