package backend

import (
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// What is remembered of deliveries that were settled, for the case that the
// settlement was lost with its stream.
const (
	memoryCount = 20_000   // twice what may be in flight
	memoryBytes = 16 << 20 // of replies and verdicts
)

// memory holds the latest outcomes. The zero value is ready. The caller locks.
//
// Each delivery that is settled is put into it, and few are ever looked for: those that
// come again. So an index is made when one is, and kept for a while.
type memory struct {
	ring        []outcome // the n-th that was put, from 0, is at n modulo its length, a power of two
	first, next uint64    // those from first to before next are held
	bytes       int
	index       map[string]uint64 // which is the latest, by delivery id; nil: there is none
	until       uint64            // the index is kept until the one of this number is put
}

// get returns the latest outcome of a delivery.
func (m *memory) get(deliveryID string) (outcome, bool) {
	if m.index == nil {
		m.index = make(map[string]uint64, m.next-m.first)
		for n := m.first; n < m.next; n++ {
			m.index[m.at(n).id] = n
		}
	}
	m.until = m.next + memoryCount
	n, ok := m.index[deliveryID]
	if !ok {
		return outcome{}, false
	}
	return *m.at(n), true
}

func (m *memory) at(n uint64) *outcome { return &m.ring[n%uint64(len(m.ring))] }

func (m *memory) put(o outcome) {
	o.bytes = size(o)
	if m.next-m.first == uint64(len(m.ring)) {
		m.grow()
	}
	*m.at(m.next) = o
	if m.index != nil {
		m.index[o.id] = m.next
	}
	m.next++
	m.bytes += o.bytes
	for m.next-m.first > memoryCount || m.bytes > memoryBytes {
		m.dropOldest()
	}
	if m.next > m.until {
		m.index = nil
	}
}

func (m *memory) grow() {
	old := m.ring
	m.ring = make([]outcome, max(64, 2*len(old)))
	for n := m.first; n < m.next; n++ {
		*m.at(n) = old[n%uint64(len(old))]
	}
}

func (m *memory) dropOldest() {
	oldest := m.at(m.first)
	m.bytes -= oldest.bytes
	if n, ok := m.index[oldest.id]; ok && n == m.first {
		delete(m.index, oldest.id)
	}
	*oldest = outcome{}
	m.first++
}

// size is what the request of an outcome takes, near enough: most are replies, of which
// there are too many to have each measured exactly.
func size(o outcome) int {
	switch r := o.request.GetRequest().(type) {
	case nil:
		return 0
	case *fanoutv1.ConsumeRequest_Reply:
		return replySize(r.Reply)
	}
	return proto.Size(o.request)
}
