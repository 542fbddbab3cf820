package engineio

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// FuzzConflate pushes packets into an outbox, with keys and without, and takes them. Each byte
// is an act. What holds whatever they are: what is taken is what was pushed, in that order, with
// some left out; nothing without a key is; of each key the last is there, and what is left out
// was replaced while it waited; and the bytes that count are those that wait.
func FuzzConflate(f *testing.F) {
	f.Add([]byte{0x08, 0x10, 0x08, 0x18, 0x00})
	f.Add([]byte{0x0c, 0x04, 0x0d, 0x05, 0x0c, 0x02, 0x00, 0x0c})
	f.Add(bytes.Repeat([]byte{0x08, 0x11, 0x02, 0x18, 0x21, 0x04}, 40))            // more than are looked through one by one
	f.Add(slices.Concat(bytes.Repeat([]byte{0x04}, 40), []byte{0x08, 0x08, 0x00})) // an index, and the queue taken
	many := make([]byte, 0, 600)
	for i := range 300 {
		many = append(many, byte(i<<3), byte(i*7<<3|1))
	}
	f.Add(many)
	f.Fuzz(func(t *testing.T, acts []byte) {
		o, writer := &outbox{limit: 1 << 20}, &wokenWriter{}
		o.attach(writer)
		const nobody = "" // a packet without a key
		var (
			keys      []string           // of each packet that was queued, by its number
			volatile  []bool             // likewise
			waiting   = map[string]int{} // of each key the newest that was queued since all was taken
			last      = map[string]int{} // of each key the newest
			replaced  = map[int]bool{}
			delivered = map[int]bool{}
			newest    = -1 // of what was taken
		)
		packet := func(messages int) []*Message {
			msgs := make([]*Message, messages)
			for i := range msgs {
				msgs[i] = Text(fmt.Appendf(nil, "%d %d%s", len(keys), i, bytes.Repeat([]byte("x"), len(keys)%5)))
			}
			return msgs
		}
		queued := func(key string, isVolatile bool) {
			keys, volatile = append(keys, key), append(volatile, isVolatile)
		}
		take := func() {
			msgs, _ := o.take(writer, nil)
			following := 0
			for _, m := range msgs {
				var number, part int
				if m == nil {
					t.Fatal("a gap was taken")
				}
				if _, err := fmt.Sscanf(string(m.frame[m.header:]), "4%d %d", &number, &part); err != nil {
					t.Fatal(err)
				}
				if number == newest && part == following {
					following++
					continue
				}
				if number <= newest || part != 0 {
					t.Fatalf("part %d of packet %d came after packet %d", part, number, newest)
				}
				newest, following, delivered[number] = number, 1, true
			}
			clear(waiting)
		}
		for _, act := range acts {
			messages, key := 1+int(act>>1&1), fmt.Sprint("key ", act>>3)
			switch {
			case act == 0:
				take()
			case act&5 == 4:
				if o.push(packet(messages)...) == nil {
					queued(nobody, false)
				}
			case act&5 == 5:
				if _, ok := o.pushLatest(packet(messages)...); ok {
					queued(nobody, true)
				}
			default:
				m := packet(messages)
				Conflate(key, m)
				was, err := o.pushConflated(m...)
				if err != nil {
					t.Fatal(err)
				}
				before, waited := waiting[key]
				if was != waited {
					t.Fatalf("packet %d with %q: replaced %v, and one waited: %v", len(keys), key, was, waited)
				}
				if was {
					replaced[before] = true
				}
				waiting[key], last[key] = len(keys), len(keys)
				queued(key, false)
			}
			bytes := 0
			for _, m := range o.queue {
				if m != nil {
					bytes += m.size()
				}
			}
			if o.bytes != bytes {
				t.Fatalf("%d bytes are said to wait, and %d do", o.bytes, bytes)
			}
		}
		take()
		for key, number := range last {
			if !delivered[number] {
				t.Errorf("the last of %q, packet %d, was not taken", key, number)
			}
		}
		for number, key := range keys {
			if delivered[number] == replaced[number] && !volatile[number] {
				t.Errorf("packet %d with key %q: taken %v, replaced %v", number, key, delivered[number], replaced[number])
			}
		}
		if o.bytes != 0 || o.gaps != 0 || o.queued() != 0 {
			t.Errorf("when all is taken %d bytes and %d gaps are left", o.bytes, o.gaps)
		}
	})
}
