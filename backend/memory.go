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
	o.bytes = size(o)
	m.outcomes[o.id] = o
	m.bytes += o.bytes - old.bytes
	for len(m.order) > memoryCount || m.bytes > memoryBytes {
		oldest := m.order[0]
		m.order = m.order[1:]
		m.bytes -= m.outcomes[oldest].bytes
		delete(m.outcomes, oldest)
	}
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
