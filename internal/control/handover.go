package control

import (
	"context"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// tellHandover sends a piece of what the worker is to be told of the connections that it
// owns, if there is any. All that was polled has been sent.
func (c *consumer) tellHandover(out heartbeatSender[fanoutv1.ConsumeResponse]) (told bool, err error) {
	h, ok := c.subscription.Handover()
	if !ok {
		return false, nil
	}
	for _, m := range c.events.handover(&h, c.sub.View, c.maxMessageBytes) {
		if err := out.send(m); err != nil {
			return false, err
		}
	}
	return true, nil
}

// handover is h in messages of most bytes, with what view has of connections.
func (e *Events) handover(h *dispatch.Handover, view dispatch.View, most int) (all []*fanoutv1.ConsumeResponse) {
	if len(h.Released) > 0 { // few enough for one message
		all = append(all, &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Released_{
			Released: &fanoutv1.ConsumeResponse_Released{ConnectionIds: h.Released},
		}})
	}
	assigned := e.connectionPieces(h.Assigned, view.AssignedHandshake(), most, func(list []*fanoutv1.Connection, tooLarge []string) *fanoutv1.ConsumeResponse {
		return &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Assigned_{
			Assigned: &fanoutv1.ConsumeResponse_Assigned{Connections: list, TooLarge: tooLarge},
		}}
	})
	changed := e.connectionPieces(h.Changed, view.ChangedHandshake(), most, func(list []*fanoutv1.Connection, tooLarge []string) *fanoutv1.ConsumeResponse {
		return &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Changed_{
			Changed: &fanoutv1.ConsumeResponse_Changed{Connections: list, TooLarge: tooLarge},
		}}
	})
	return append(append(all, assigned...), changed...)
}

// connectionPieces is list in messages of most bytes, as message makes them; of those that
// are too large by themselves the ids.
func (e *Events) connectionPieces(list []sio.Connection, handshake bool, most int, message func(list []*fanoutv1.Connection, tooLarge []string) *fanoutv1.ConsumeResponse) (all []*fanoutv1.ConsumeResponse) {
	most -= batchOverhead
	var piece []*fanoutv1.Connection
	var tooLarge []string
	bytes := 0
	room := func(size int) {
		if bytes > 0 && bytes+size > min(maxBatchBytes, most) {
			all = append(all, message(piece, tooLarge))
			piece, tooLarge, bytes = nil, nil, 0
		}
		bytes += size
	}
	for i := range list {
		c, err := fromConnection(&list[i], dataAsText, handshake)
		if err != nil {
			_ = e.errors.Code(context.Background(), fanoutv1.EventService_Consume_FullMethodName, err)
		}
		id := list[i].ID
		if size := 1 + protowire.SizeBytes(proto.Size(c)); err == nil && size <= most {
			room(size)
			piece = append(piece, c)
		} else {
			room(1 + protowire.SizeBytes(len(id)))
			tooLarge = append(tooLarge, id)
		}
	}
	if bytes > 0 {
		all = append(all, message(piece, tooLarge))
	}
	return all
}
