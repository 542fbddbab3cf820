package control

import (
	"context"
	"fmt"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// Operations are what the other RPCs do, one by one; here they are done as parts of a Batch
// or a stream of Execute.

// result is what becomes of an operation: an answer of the contract, without a status.
type result struct {
	pending
	// answer makes the answer, if there is no error, of what the operation did.
	answer func(applied) *fanoutv1.OperationResult
}

// get returns the answer, nil unless wanted. It is to be called once.
func (r *result) get(wanted bool) (*fanoutv1.OperationResult, error) {
	a, err := r.pending.get()
	if err != nil || !wanted {
		return nil, err
	}
	return r.answer(a), nil
}

// end waits for whatever get would.
func (r *result) end() {
	if r.wait != nil {
		_, _ = r.get(false)
	}
}

// refused is the result of an operation that was not carried out.
func refused(err error) result { return result{pending: done(err)} }

// maxBatchAnswer is how much the results of a batch may hold before its updates are answered
// without their connections, whose data may be large; the contract states it.
const maxBatchAnswer = 4 << 20 // bytes

// Batch carries out operations in their order. Each is answered before the next begins, for
// nothing would be won: the answer of all waits for the slowest.
func (e *Emitter) Batch(ctx context.Context, req *fanoutv1.BatchRequest) (*fanoutv1.BatchResponse, error) {
	operations := req.GetOperations()
	if len(operations) > maxBatch {
		return nil, invalid(&problems{}, "operations", "%d operations, but at most %d are allowed", len(operations), maxBatch)
	}
	results, bytes := make([]*fanoutv1.OperationResult, len(operations)), 0
	for i, op := range operations {
		done := e.operation(ctx, op, fmt.Sprintf("operations[%d]", i))
		answer, err := done.get(true)
		if update := answer.GetUpdate(); update != nil && bytes >= maxBatchAnswer {
			update.Connection = nil
		}
		results[i] = e.toResult(ctx, fanoutv1.EmitterService_Batch_FullMethodName, answer, err)
		bytes += proto.Size(results[i])
	}
	return &fanoutv1.BatchResponse{Results: results}, nil
}

// toResult is an answer, or the status of the error that there is instead.
func (e *Emitter) toResult(ctx context.Context, method string, answer *fanoutv1.OperationResult, err error) *fanoutv1.OperationResult {
	if err = e.errors.Code(ctx, method, err); err != nil {
		return &fanoutv1.OperationResult{Status: fromStatus(status.Convert(err))}
	}
	return answer
}

// methodOf is the full name of the RPC that does the same; empty: the operation is none that
// there is.
func methodOf(m *fanoutv1.Operation) string {
	switch m.GetOperation().(type) {
	case *fanoutv1.Operation_Emit:
		return fanoutv1.EmitterService_Emit_FullMethodName
	case *fanoutv1.Operation_EmitWithAck:
		return fanoutv1.EmitterService_EmitWithAck_FullMethodName
	case *fanoutv1.Operation_Call:
		return fanoutv1.EmitterService_Call_FullMethodName
	case *fanoutv1.Operation_Join:
		return fanoutv1.RegistryService_Join_FullMethodName
	case *fanoutv1.Operation_Leave:
		return fanoutv1.RegistryService_Leave_FullMethodName
	case *fanoutv1.Operation_Update:
		return fanoutv1.RegistryService_UpdateConnection_FullMethodName
	case *fanoutv1.Operation_UpdateAll:
		return fanoutv1.RegistryService_UpdateConnections_FullMethodName
	case *fanoutv1.Operation_Disconnect:
		return fanoutv1.RegistryService_Disconnect_FullMethodName
	case *fanoutv1.Operation_Reply:
		return fanoutv1.EventService_Reply_FullMethodName
	case *fanoutv1.Operation_Publish:
		return fanoutv1.EventService_Publish_FullMethodName
	}
	return ""
}

// operation carries out one operation that awaits no browser, if the caller may call the RPC
// that does the same. at is its path in its request.
func (e *Emitter) operation(ctx context.Context, m *fanoutv1.Operation, at string) result {
	method := methodOf(m)
	if method == "" {
		return refused(invalid(&problems{}, at, "must be one of the operations that there are"))
	}
	if err := requireScopeOf(ctx, method); err != nil {
		return refused(err)
	}
	switch op := m.GetOperation().(type) {
	case *fanoutv1.Operation_Emit:
		return result{e.submit(ctx, op.Emit, place{at, "emit"}), emitResult}
	case *fanoutv1.Operation_Join:
		return result{e.registry.join(ctx, op.Join, place{at, "join"}), joinResult}
	case *fanoutv1.Operation_Leave:
		return result{e.registry.leave(ctx, op.Leave, place{at, "leave"}), func(a applied) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Leave{Leave: leaveResponse(a)}}
		}}
	case *fanoutv1.Operation_Update:
		answer, err := e.registry.update(ctx, op.Update, place{at, "update"})
		return result{done(err), func(applied) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Update{Update: answer}}
		}}
	case *fanoutv1.Operation_UpdateAll:
		return result{e.registry.updateAll(ctx, op.UpdateAll, place{at, "update_all"}), func(a applied) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_UpdateAll{UpdateAll: updateAllResponse(a)}}
		}}
	case *fanoutv1.Operation_Disconnect:
		return result{e.registry.disconnect(ctx, op.Disconnect, place{at, "disconnect"}), func(a applied) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Disconnect{Disconnect: disconnectResponse(a)}}
		}}
	case *fanoutv1.Operation_Reply:
		return result{done(e.reply(ctx, op.Reply, place{at, "reply"})), func(applied) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Reply{Reply: &fanoutv1.ReplyResponse{}}}
		}}
	case *fanoutv1.Operation_Publish:
		if op.Publish.GetTimeout() != nil {
			return awaitedHere(at, "publish.timeout")
		}
		return e.publish(ctx, op.Publish, place{at, "publish"}).result()
	case *fanoutv1.Operation_EmitWithAck:
		return awaitedHere(at, "emit_with_ack")
	case *fanoutv1.Operation_Call:
		return awaitedHere(at, "call")
	}
	return refused(ErrUnknownMethod)
}

func emitResult(a applied) *fanoutv1.OperationResult {
	return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Emit{Emit: emitResponse(a)}}
}

func joinResult(a applied) *fanoutv1.OperationResult {
	return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Join{Join: joinResponse(a)}}
}

// awaitedHere refuses an operation that is awaited where nothing can be.
func awaitedHere(at, kind string) result {
	return refused(invalid(&problems{at: place{inner: at}}, kind, "is awaited, which only a stream of Execute can do"))
}

// requireScopeOf returns why the caller may not call this method, nil if it may.
func requireScopeOf(ctx context.Context, method string) error {
	scope, _ := ScopeOf(method)
	return identity.FromContext(ctx).Require(scope)
}

// publish is the EventService's, if there is one.
func (e *Emitter) publish(ctx context.Context, m *fanoutv1.PublishRequest, at place) published {
	if e.events == nil {
		return published{err: ErrUnknownMethod}
	}
	return e.events.publish(ctx, m, at)
}

// reply is the EventService's, if there is one.
func (e *Emitter) reply(ctx context.Context, m *fanoutv1.ReplyRequest, at place) error {
	if e.events == nil {
		return ErrUnknownMethod
	}
	p := problemsAt(ctx, at)
	return e.events.reply(&p, m)
}
