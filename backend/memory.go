package backend

import "google.golang.org/protobuf/proto"

// What is remembered of deliveries that were settled, for the case that the
// settlement was lost with its stream.
const (
	memoryCount = 20_000   // twice what may be in flight
	memoryBytes = 16 << 20 // of replies and verdicts
)

// memory holds the latest outcomes. The zero value is ready. The caller locks.
type memory struct {
	outcomes map[string]outcome // by delivery id
	order    []string           // oldest first
	bytes    int
}

func (m *memory) get(deliveryID string) (outcome, bool) {
	o, ok := m.outcomes[deliveryID]
	return o, ok
}

func (m *memory) put(o outcome) {
	if m.outcomes == nil {
		m.outcomes = map[string]outcome{}
	}
	old, known := m.outcomes[o.id]
	if !known {
		m.order = append(m.order, o.id)
	}
	m.outcomes[o.id] = o
	m.bytes += size(o) - size(old)
	for len(m.order) > memoryCount || m.bytes > memoryBytes {
		oldest := m.order[0]
		m.order = m.order[1:]
		m.bytes -= size(m.outcomes[oldest])
		delete(m.outcomes, oldest)
	}
}

func size(o outcome) int {
	if o.request == nil {
		return 0
	}
	return proto.Size(o.request)
}
