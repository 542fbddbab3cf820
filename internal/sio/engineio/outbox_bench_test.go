package engineio

import (
	"fmt"
	"testing"
)

// idler is a writer that lets things wait until it is told to take them.
type idler struct{}

func (idler) wake()    {}
func (idler) crowded() {}

// BenchmarkOutbox is one small message through one outbox, in the ways there are.
func BenchmarkOutbox(b *testing.B) {
	m, keyed := Text(make([]byte, 100)), Text(make([]byte, 100))
	Conflate("key", []*Message{keyed})
	for _, c := range []struct {
		name string
		push func(o *outbox) bool
	}{
		{"push", func(o *outbox) bool { return o.push(m) == nil }},
		{"pushVolatile", func(o *outbox) bool { return o.pushVolatile(m) }},
		{"pushLatest", func(o *outbox) bool { _, ok := o.pushLatest(m); return ok }},
		{"pushConflated", func(o *outbox) bool { _, err := o.pushConflated(keyed); return err == nil }},
	} {
		b.Run(c.name, func(b *testing.B) {
			o := &outbox{limit: DefaultMaxQueue}
			o.attach(idler{})
			var spare []*Message
			b.ReportAllocs()
			for b.Loop() {
				if !c.push(o) {
					b.Fatal("not queued")
				}
				msgs, _ := o.take(idler{}, spare)
				spare = recycle(msgs)
				o.take(idler{}, nil) // nothing: idle again
			}
		})
	}
}

// BenchmarkOutboxBurst gathers n messages and takes them together, which is what
// happens under load.
func BenchmarkOutboxBurst(b *testing.B) {
	m := Text(make([]byte, 100))
	for _, n := range []int{8, 64, 512} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := &outbox{limit: DefaultMaxQueue}
			o.attach(idler{})
			var spare []*Message
			b.ReportAllocs()
			for b.Loop() {
				for range n {
					if o.push(m) != nil {
						b.Fatal("not queued")
					}
				}
				msgs, _ := o.take(idler{}, spare)
				spare = recycle(msgs)
				o.take(idler{}, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		})
	}
}

// BenchmarkOutboxBehind is a volatile message for a client that reads nothing:
// dropped, or taken for an older one's place.
func BenchmarkOutboxBehind(b *testing.B) {
	m := Text(make([]byte, 100))
	for _, waiting := range []int{1, 1000} { // what must not be dropped
		behind := func() *outbox {
			o := &outbox{limit: DefaultMaxQueue}
			o.attach(idler{})
			for range waiting {
				_ = o.push(m)
			}
			return o
		}
		b.Run(fmt.Sprintf("pushVolatile/%d", waiting), func(b *testing.B) {
			o := behind()
			b.ReportAllocs()
			for b.Loop() {
				o.pushVolatile(m)
			}
		})
		b.Run(fmt.Sprintf("pushLatest/%d", waiting), func(b *testing.B) {
			o := behind()
			for dropped := 0; dropped == 0; {
				dropped, _ = o.pushLatest(m) // until their share is full
			}
			b.ReportAllocs()
			for b.Loop() {
				o.pushLatest(m)
			}
		})
	}
}

// BenchmarkOutboxConflated is a message with a key for a client that reads nothing, where one
// with the same key waits among others: as many with keys of their own, in turn, or without.
func BenchmarkOutboxConflated(b *testing.B) {
	for _, waiting := range []int{1, 4, 8, 16, 32, 64, 512, 5000} {
		for name, keys := range map[string]int{"own keys": waiting, "one key": 1} {
			b.Run(fmt.Sprintf("%s/%d", name, waiting), func(b *testing.B) {
				o := &outbox{limit: 1 << 30}
				o.attach(idler{})
				for range waiting - keys {
					_ = o.push(Text(make([]byte, 100)))
				}
				msgs := make([]*Message, keys)
				for i := range msgs {
					msgs[i] = Text(make([]byte, 100))
					Conflate(fmt.Sprint("prices/", i), msgs[i:i+1])
					_ = o.push(msgs[i])
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if replaced, _ := o.pushConflated(msgs[i%keys]); !replaced {
						b.Fatal("nothing was replaced")
					}
				}
			})
		}
	}
}
