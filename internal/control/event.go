package control

import (
	"context"
	"errors"
	"sync"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Events is what the services need of whoever hears browsers. All methods may
// be called at once.
type Events interface {
	// Subscribe adds a subscription to its group, replacing the one with its id. Too many
	// are [dispatch.ErrTooMany].
	Subscribe(dispatch.SubscriptionOptions) (*dispatch.Subscription, error)

	// Reply answers the browser's ack callback of an event. It fails with
	// [dispatch.ErrBadID], [dispatch.ErrNoReply] or [sio.ErrTooLarge].
	Reply(id string, args []byte, attachments [][]byte) error

	// Tail starts to watch. Too many are [dispatch.ErrTooMany].
	Tail(dispatch.TailFilter) (*dispatch.Tail, error)

	// Groups returns all groups, by name.
	Groups() []dispatch.GroupStatus

	// Stats counts since the start.
	Stats() dispatch.Stats
}

var _ Events = (*dispatch.Dispatcher)(nil)

// events is the EventService.
type events struct {
	fanoutv1.UnimplementedEventServiceServer

	source   Events
	hub      Hub
	node     string // this node's name
	errors   *ErrorReporter
	streams  *sync.WaitGroup // the goroutines of streams
	draining <-chan struct{} // closed when the daemon is about to shut down
}

var _ fanoutv1.EventServiceServer = (*events)(nil)

func (e *events) Reply(_ context.Context, req *fanoutv1.ReplyRequest) (*fanoutv1.ReplyResponse, error) {
	if err := e.reply(&problems{}, req); err != nil {
		return nil, err
	}
	return &fanoutv1.ReplyResponse{}, nil
}

// reply hands a reply to its connection.
func (e *events) reply(p *problems, m *fanoutv1.ReplyRequest) error {
	if m.GetDeliveryId() == "" {
		p.add("delivery_id", "must not be empty")
	}
	args := toArgs(p, m)
	if p.any() {
		return p.err()
	}
	err := e.source.Reply(m.GetDeliveryId(), args, m.GetAttachments())
	if errors.Is(err, sio.ErrTooLarge) {
		return tooLarge(p, m)
	}
	return settleError(err, p)
}

// closing reports whether the daemon is about to shut down.
func (e *events) closing() bool {
	select {
	case <-e.draining:
		return true
	default:
		return false
	}
}
