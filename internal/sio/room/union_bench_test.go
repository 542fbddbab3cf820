package room

import (
	"fmt"
	"strconv"
	"testing"
)

// BenchmarkUnion selects n members by several rooms that overlap, without those
// of another room: a tenth of them.
func BenchmarkUnion(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		r := New[int]()
		for i := range n {
			e := r.Add("id-"+strconv.Itoa(i), "user-"+strconv.Itoa(i%100), i)
			for of, name := range []string{"halves", "thirds", "all"} {
				if i%(3-of) == 0 {
					r.Join(e, name)
				}
			}
			if i%10 == 0 {
				r.Join(e, "muted")
			}
		}
		for _, c := range []struct {
			name string
			s    Selector
		}{
			{"rooms", Selector{Rooms: []string{"halves", "thirds", "all"}}},
			{"rooms-except", Selector{Rooms: []string{"halves", "thirds", "all"}, Except: []string{"muted"}}},
			{"users", Selector{Users: []string{"user-1", "user-2"}, IDs: []string{"id-7"}}},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				sum, members := 0, 0
				r.Select(c.s, func(*Entry[int]) { members++ })
				b.ReportAllocs()
				for b.Loop() {
					r.Select(c.s, func(e *Entry[int]) { sum += e.Value })
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(members), "ns/member")
			})
		}
	}
}

// BenchmarkManyRooms moves a member that is in n rooms in and out of one more.
func BenchmarkManyRooms(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r, entries := crowd(1_000)
			for i := range n {
				r.Join(entries[0], "other-"+strconv.Itoa(i))
			}
			r.Leave(entries[0], "room")
			b.ReportAllocs()
			for b.Loop() {
				r.Join(entries[0], "room")
				r.Leave(entries[0], "room")
			}
		})
	}
}
