package backend

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Answer is what a command of [Commands] will be answered.
type Answer[T any] struct {
	commands *Commands
	command  *command
	of       func(*fanoutv1.OperationResult) T
}

// Wait returns the answer when it is there, or why there is none: a status error of the
// daemon's, [ErrInterrupted], [ErrClosed] or the cause of ctx's end; the command goes on
// after that. It may be called any number of times.
func (a *Answer[T]) Wait(ctx context.Context) (answer T, err error) {
	select {
	case <-a.command.done:
	default:
		select {
		case <-a.command.done:
		case <-ctx.Done():
			return answer, context.Cause(ctx)
		}
	}
	if err := a.command.err; err != nil {
		return answer, err
	}
	return a.of(a.command.result), nil
}

// Done is closed when the answer is there, or why there is none.
func (a *Answer[T]) Done() <-chan struct{} { return a.command.done }

// Cancel ends the waiting for browsers of a Call or an EmitWithAck, whose answer is the
// status CANCELLED then. Of other commands, and after the answer, it does nothing.
func (a *Answer[T]) Cancel() { a.commands.takeBack(a.command) }

// failed is the answer to a command that cannot be sent.
func failed[T any](x *Commands, err error) *Answer[T] {
	m := &command{done: make(chan struct{})}
	m.end(nil, err)
	return &Answer[T]{x, m, nil}
}

// Do gives any operation. Its answer is the last result; each, which may be nil, is called
// with all of them, as they come, and holds the others up.
func (x *Commands) Do(o *fanoutv1.Operation, each func(*fanoutv1.OperationResult)) *Answer[*fanoutv1.OperationResult] {
	return &Answer[*fanoutv1.OperationResult]{x, x.give(o, each), func(r *fanoutv1.OperationResult) *fanoutv1.OperationResult { return r }}
}

// Emit is [Client.Emit].
func (x *Commands) Emit(to Target, event string, args ...any) *Answer[Reached] {
	req, err := NewEmit(to, event, args...)
	if err != nil {
		return failed[Reached](x, err)
	}
	return x.Send(req)
}

// Send is [Client.Send].
func (x *Commands) Send(req *fanoutv1.EmitRequest) *Answer[Reached] {
	m := x.give(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Emit{Emit: req}}, nil)
	return &Answer[Reached]{x, m, func(r *fanoutv1.OperationResult) Reached { return reached(r.GetEmit().GetMatched(), r.GetEmit()) }}
}

// Join puts the connections of a target into rooms.
func (x *Commands) Join(to Target, rooms ...string) *Answer[Reached] {
	m := x.give(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Join{Join: &fanoutv1.JoinRequest{To: to.Proto(), Rooms: rooms}}}, nil)
	return &Answer[Reached]{x, m, func(r *fanoutv1.OperationResult) Reached { return reached(r.GetJoin().GetAffected(), r.GetJoin()) }}
}

// Leave takes the connections of a target out of rooms.
func (x *Commands) Leave(to Target, rooms ...string) *Answer[Reached] {
	m := x.give(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Leave{Leave: &fanoutv1.LeaveRequest{To: to.Proto(), Rooms: rooms}}}, nil)
	return &Answer[Reached]{x, m, func(r *fanoutv1.OperationResult) Reached { return reached(r.GetLeave().GetAffected(), r.GetLeave()) }}
}

// Update changes the connections of a target.
func (x *Commands) Update(to Target, u Update) *Answer[Reached] {
	req, err := u.request(to)
	if err != nil {
		return failed[Reached](x, err)
	}
	m := x.give(&fanoutv1.Operation{Operation: &fanoutv1.Operation_UpdateAll{UpdateAll: req}}, nil)
	return &Answer[Reached]{x, m, func(r *fanoutv1.OperationResult) Reached {
		return reached(r.GetUpdateAll().GetAffected(), r.GetUpdateAll())
	}}
}

// Disconnect ends the connections of a target.
func (x *Commands) Disconnect(to Target, o DisconnectOptions) *Answer[Reached] {
	req := &fanoutv1.DisconnectRequest{To: to.Proto(), Mode: o.Mode, Reason: o.Reason}
	m := x.give(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Disconnect{Disconnect: req}}, nil)
	return &Answer[Reached]{x, m, func(r *fanoutv1.OperationResult) Reached {
		return reached(r.GetDisconnect().GetAffected(), r.GetDisconnect())
	}}
}

// Call sends an event to one connection. Its answer is what the client's ack callback is
// given, which has to come within the timeout. Commands after it do not wait for that.
func (x *Commands) Call(c Conn, timeout time.Duration, event string, args ...any) *Answer[Args] {
	text, attachments, err := encode(args)
	if err != nil {
		return failed[Args](x, fmt.Errorf("backend: the arguments of %q: %w", event, err))
	}
	m := x.give(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Call{Call: &fanoutv1.CallRequest{
		Namespace: c.Namespace, Id: c.ID, Event: event, ArgsJson: text, Attachments: attachments, Timeout: durationpb.New(timeout),
	}}}, nil)
	return &Answer[Args]{x, m, func(r *fanoutv1.OperationResult) Args {
		return Args{text: r.GetCall().GetArgsJson(), attachments: r.GetCall().GetAttachments()}
	}}
}

// EmitWithAck sends an event to every connection of a target and calls each with what comes
// of it, as it comes; each holds the results of other commands up. The answer is the
// summary.
func (x *Commands) EmitWithAck(req *fanoutv1.EmitWithAckRequest, each func(*fanoutv1.EmitWithAckResponse)) *Answer[*fanoutv1.EmitWithAckResponse_Summary] {
	m := x.give(&fanoutv1.Operation{Operation: &fanoutv1.Operation_EmitWithAck{EmitWithAck: req}}, func(r *fanoutv1.OperationResult) {
		if r.GetEmitWithAck() != nil && r.GetEmitWithAck().GetSummary() == nil && each != nil {
			each(r.GetEmitWithAck())
		}
	})
	return &Answer[*fanoutv1.EmitWithAckResponse_Summary]{x, m, func(r *fanoutv1.OperationResult) *fanoutv1.EmitWithAckResponse_Summary {
		return r.GetEmitWithAck().GetSummary()
	}}
}

// Reply answers the browser's ack callback of an event, in its place among the commands.
// Given before the event's handler returns, it stands for the Reply that this returns.
func (x *Commands) Reply(e *Event, args ...any) *Answer[struct{}] {
	text, attachments, err := encode(args)
	if err != nil {
		return failed[struct{}](x, fmt.Errorf("backend: the reply: %w", err))
	}
	if e.replied != nil {
		e.replied.Store(true)
	}
	m := x.give(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Reply{Reply: &fanoutv1.ReplyRequest{
		DeliveryId: e.deliveryID, ArgsJson: text, Attachments: attachments,
	}}}, nil)
	return &Answer[struct{}]{x, m, func(*fanoutv1.OperationResult) struct{} { return struct{}{} }}
}

// statusError is the error of a command's status, nil if it is OK.
func statusError(s *fanoutv1.Status) error {
	return grpcstatus.ErrorProto(&status.Status{Code: s.GetCode(), Message: s.GetMessage(), Details: s.GetDetails()})
}
