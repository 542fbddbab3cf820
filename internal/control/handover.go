package control

import (
	"context"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// tellHandover sends a piece of what the worker is to be told of the connections that it
// owns, if there is any. All that was polled has been sent.
func (c *consumer) tellHandover(out heartbeatSender[fanoutv1.ConsumeResponse]) (told bool, err error) {
	h, ok := c.subscription.Handover()
	if !ok {
		return false, nil
	}
	for _, m := range c.events.handover(&h, c.maxMessageBytes) {
		if err := out.send(m); err != nil {
			return false, err
		}
	}
	return true, nil
}

// handover is h in messages of most bytes.
func (e *Events) handover(h *dispatch.Handover, most int) (all []*fanoutv1.ConsumeResponse) {
	if len(h.Released) > 0 { // few enough for one message
		all = append(all, &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Released_{
			Released: &fanoutv1.ConsumeResponse_Released{ConnectionIds: h.Released},
		}})
	}
	most -= batchOverhead
	piece, bytes := &fanoutv1.ConsumeResponse_Assigned{}, 0
	room := func(size int) {
		if bytes > 0 && bytes+size > min(maxBatchBytes, most) {
			all = append(all, assigned(piece))
			piece, bytes = &fanoutv1.ConsumeResponse_Assigned{}, 0
		}
		bytes += size
	}
	for i := range h.Assigned {
		c, err := fromConnection(&h.Assigned[i], dataAsText)
		if err != nil {
			_ = e.errors.Code(context.Background(), fanoutv1.EventService_Consume_FullMethodName, err)
		}
		id := h.Assigned[i].ID
		if size := 1 + protowire.SizeBytes(proto.Size(c)); err == nil && size <= most {
			room(size)
			piece.Connections = append(piece.Connections, c)
		} else {
			room(1 + protowire.SizeBytes(len(id)))
			piece.TooLarge = append(piece.TooLarge, id)
		}
	}
	if bytes > 0 {
		all = append(all, assigned(piece))
	}
	return all
}

func assigned(piece *fanoutv1.ConsumeResponse_Assigned) *fanoutv1.ConsumeResponse {
	return &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Assigned_{Assigned: piece}}
}
