package control

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// maxBatchBytes bounds a message of several events: beyond it, more of them in a
// message save nothing, and a consumer should begin with the first. The contract
// states it.
const maxBatchBytes = 1 << 20

// batch gathers the deliveries of one message. It is the sender's of one stream.
type batch struct {
	events *Events
	decode bool
	// include has messages come with their connection.
	include bool
	// view says how much of connections.
	view dispatch.View
	most int // bytes of a message

	list  []*fanoutv1.Event
	bytes int             // of list, in its message
	over  *fanoutv1.Event // that did not fit into the batch before
	again bool            // the batch before began with one that was over, too

	// untold are deliveries that were left out for being too large, and that somebody
	// else had taken back by then: the consumer will be told so, and was never told of them.
	untold map[string]bool
}

// fill adds what waits for the subscription, as far as it fits; more says that
// something may be left. What is in the batch is to be sent, whatever the
// subscription's error. Of messages that each leave something over every third ends
// that: what is over comes alone.
func (b *batch) fill(s Subscription) (more bool, err error) {
	if b.over != nil {
		b.add(b.over, sizeInBatch(b.over))
		b.over = nil
		if b.again = !b.again; !b.again {
			return true, nil
		}
	} else {
		b.again = false
	}
	for {
		d, ok, err := s.Poll()
		if !ok {
			return false, err
		}
		e := b.events.delivery(&d, b.decode, b.include, b.view)
		size := sizeInBatch(e)
		if size+batchOverhead > b.most {
			e.Connection = nil // better the event alone than none
			size = sizeInBatch(e)
		}
		if size+batchOverhead > b.most {
			if s.BuryTooLarge(d.ID()) != nil { // it was taken back meanwhile
				b.leaveOut(d.ID())
			}
			continue
		}
		if !b.add(e, size) {
			b.over = e
			return true, nil
		}
	}
}

// batchOverhead is what a message has around its list: a tag and a length.
const batchOverhead = 16

func sizeInBatch(e *fanoutv1.Event) int { return 1 + protowire.SizeBytes(proto.Size(e)) } // its tag takes one byte

// add reports whether there was room for an event of this size, which there is for any first.
func (b *batch) add(e *fanoutv1.Event, size int) bool {
	if len(b.list) > 0 && b.bytes+size > min(maxBatchBytes, b.most-batchOverhead) {
		return false
	}
	b.list, b.bytes = append(b.list, e), b.bytes+size
	delete(b.untold, e.GetDeliveryId())
	return true
}

// leaveOut notes that a delivery which was taken back was never sent.
func (b *batch) leaveOut(id string) {
	if b.untold == nil {
		b.untold = map[string]bool{}
	}
	b.untold[id] = true
}

// sent returns those of the deliveries that were taken back which the consumer has been
// sent. Another attempt of the others may follow.
func (b *batch) sent(taken []string) []string {
	if len(b.untold) == 0 {
		return taken
	}
	return slices.DeleteFunc(taken, func(id string) bool {
		left := b.untold[id]
		delete(b.untold, id)
		return left
	})
}

// take empties the batch; nil: nothing was in it.
func (b *batch) take() *fanoutv1.ConsumeResponse {
	if len(b.list) == 0 {
		return nil
	}
	m := &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Events_{
		Events: &fanoutv1.ConsumeResponse_Events{Events: b.list},
	}}
	b.list, b.bytes = nil, 0
	return m
}
