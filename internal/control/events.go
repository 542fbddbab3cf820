package control

import (
	"context"
	"errors"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Events is the EventService.
type Events struct {
	fanoutv1.UnimplementedEventServiceServer

	hub        Hub
	dispatcher Dispatcher
	keys       Keys
	errors     *ErrorReporter
	node       string          // this node's name
	draining   <-chan struct{} // closed when the daemon is about to shut down: nobody joins any more
	ending     <-chan struct{} // closed when streams are to end

	streams streamGoroutines
}

// newEvents returns the EventService over d. Namespaces are those of hub; node is
// this node's name. Deliveries that fail inside are reported to errors. Once
// draining is closed nobody joins any more, and once ending is, streams end.
func newEvents(hub Hub, d Dispatcher, keys Keys, errors *ErrorReporter, node string, draining, ending <-chan struct{}) *Events {
	return &Events{
		hub: hub, dispatcher: d, keys: keys, errors: errors, node: node, draining: draining, ending: ending,
		streams: streamGoroutines{errors: errors},
	}
}

// Wait waits for the goroutines of all Consume streams. They end soon after
// their calls, so it is to be called when every transport has ended.
func (e *Events) Wait() { e.streams.Wait() }

var _ fanoutv1.EventServiceServer = (*Events)(nil)

func (e *Events) Reply(ctx context.Context, req *fanoutv1.ReplyRequest) (*fanoutv1.ReplyResponse, error) {
	p := problemsOf(ctx, "")
	if err := e.reply(&p, req); err != nil {
		return nil, err
	}
	return &fanoutv1.ReplyResponse{}, nil
}

// reply hands a reply to its connection, if that is in a namespace of the caller's.
func (e *Events) reply(p *problems, m *fanoutv1.ReplyRequest) error {
	p.needEveryRoom("") // any connection may wait
	within := p.ownNamespaces()
	if m.GetDeliveryId() == "" {
		p.add("delivery_id", "must not be empty")
	}
	args := toArgs(p, m)
	if p.any() {
		return p.err()
	}
	err := e.dispatcher.Reply(m.GetDeliveryId(), within, args, m.GetAttachments())
	if errors.Is(err, sio.ErrTooLarge) {
		return tooLarge(p, m)
	}
	return settleError(err, p)
}

// closing reports whether the daemon is about to shut down.
func (e *Events) closing() bool {
	select {
	case <-e.draining:
		return true
	default:
		return false
	}
}
