package control

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// Tail sends the headers when the watch has begun.
func (e *Events) Tail(req *fanoutv1.TailRequest, stream grpc.ServerStreamingServer[fanoutv1.TailResponse]) error {
	ctx := stream.Context()
	p := problemsOf(ctx, "")
	filter := e.toTailFilter(ctx, &p, req)
	view := toView(&p, req.GetView())
	if p.any() {
		return p.err()
	}
	tail, err := e.dispatcher.Tail(filter)
	if err != nil {
		return consumerError(err)
	}
	defer tail.Stop()
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	decode := req == nil || req.Decode == nil || req.GetDecode()
	out := newHeartbeatSender(stream)
	defer out.due.Stop()
	told := uint64(0) // of those that were dropped
	for {
		select {
		case ev := <-tail.Events():
			dropped := tail.Dropped()
			m := e.shown(ev, decode, view)
			m.Dropped = count(int(dropped - told))
			told = dropped
			m.Unreachable = tail.Unreachable()
			if err := out.send(m); err != nil {
				return err
			}
			tail.Took(ev)
		case <-out.due.C:
			if err := out.send(&fanoutv1.TailResponse{Heartbeat: true, Unreachable: tail.Unreachable()}); err != nil {
				return err
			}
		case <-e.ending:
			return ErrClosing
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// shown is an event for eyes: its arguments in one form only.
func (e *Events) shown(ev *dispatch.Event, decode bool, view dispatch.View) *fanoutv1.TailResponse {
	var m eventMessage
	e.errors.describe(fanoutv1.EventService_Tail_FullMethodName, &m, ev, ev.Connection, view)
	if decode {
		m.event.Args = decodeArgs([]byte(ev.Args))
	}
	if m.event.Args == nil {
		m.event.ArgsJson = ev.Args
	}
	return &fanoutv1.TailResponse{Event: &m.event}
}

func (e *Events) toTailFilter(ctx context.Context, p *problems, m *fanoutv1.TailRequest) dispatch.TailFilter {
	p.needEveryRoom("") // events name no rooms
	f := dispatch.TailFilter{
		Namespaces:  e.toNamespaces(ctx, p, m.GetNamespaces()),
		Events:      toEventNames(p, m.GetEvents()),
		Connections: m.GetConnectionIds(),
	}
	names(p, "connection_ids", f.Connections, maxConnectionList, maxEventName)
	for i, k := range m.GetKinds() {
		field := fmt.Sprintf("kinds[%d]", i)
		switch k {
		case fanoutv1.Event_CONNECTED:
			f.Kinds = append(f.Kinds, dispatch.Connected)
		case fanoutv1.Event_MESSAGE:
			f.Kinds = append(f.Kinds, dispatch.Message)
		case fanoutv1.Event_DISCONNECTED:
			f.Kinds = append(f.Kinds, dispatch.Disconnected)
		case fanoutv1.Event_RECOVERY_EXPIRED:
			f.Kinds = append(f.Kinds, dispatch.RecoveryExpired)
		case fanoutv1.Event_CONNECTING:
			p.add(field, "CONNECTING is shown to consumers that authorize, and to nobody else: it carries secrets")
		default:
			p.add(field, "%d is no kind", k)
		}
	}
	return f
}

// toNamespaces converts the field `namespaces` of a filter, and holds it to the caller's
// limits: all are those that the caller may name.
func (e *Events) toNamespaces(ctx context.Context, p *problems, list []string) []string {
	if len(list) > maxNamespaceFilter {
		p.add("namespaces", "%d entries, but at most %d are allowed", len(list), maxNamespaceFilter)
		return nil
	}
	if len(list) == 0 {
		return p.ownNamespaces()
	}
	full := make([]string, len(list))
	for i, s := range list {
		full[i] = namespacePattern(s)
		p.needNamespace(fmt.Sprintf("namespaces[%d]", i), full[i])
		namespaceExists(ctx, e.hub, p, full[i], fmt.Sprintf("namespaces[%d]", i))
	}
	return full
}

// toEventNames converts the field `events` of a filter.
func toEventNames(p *problems, list []string) []string {
	names(p, "events", list, maxEventFilter, maxEventName)
	for i, s := range list {
		if parser.Reserved(s) {
			p.add(fmt.Sprintf("events[%d]", i), "%q is no event of a browser: connections come and go by their own kinds", s)
		}
	}
	return list
}
