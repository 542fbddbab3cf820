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
type result = pending[*fanoutv1.OperationResult]

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
		answer, err := e.operation(ctx, op, fmt.Sprintf("operations[%d]", i)).get()
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

// operation carries out one operation that awaits no browser, at this path in its request.
func (e *Emitter) operation(ctx context.Context, m *fanoutv1.Operation, at string) result {
	if err := identity.FromContext(ctx).Require(scopeOf(m)); err != nil && m.GetOperation() != nil {
		return failed[*fanoutv1.OperationResult](err)
	}
	switch op := m.GetOperation().(type) {
	case *fanoutv1.Operation_Emit:
		return then(e.submit(ctx, op.Emit, at+".emit"), func(a *fanoutv1.EmitResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Emit{Emit: a}}
		})
	case *fanoutv1.Operation_Join:
		return then(e.registry.join(ctx, op.Join, at+".join"), func(a *fanoutv1.JoinResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Join{Join: a}}
		})
	case *fanoutv1.Operation_Leave:
		return then(e.registry.leave(ctx, op.Leave, at+".leave"), func(a *fanoutv1.LeaveResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Leave{Leave: a}}
		})
	case *fanoutv1.Operation_Update:
		return then(done(e.registry.update(ctx, op.Update, at+".update")), func(a *fanoutv1.UpdateConnectionResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Update{Update: a}}
		})
	case *fanoutv1.Operation_UpdateAll:
		return then(e.registry.updateAll(ctx, op.UpdateAll, at+".update_all"), func(a *fanoutv1.UpdateConnectionsResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_UpdateAll{UpdateAll: a}}
		})
	case *fanoutv1.Operation_Disconnect:
		return then(e.registry.disconnect(ctx, op.Disconnect, at+".disconnect"), func(a *fanoutv1.DisconnectResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Disconnect{Disconnect: a}}
		})
	case *fanoutv1.Operation_Reply:
		return then(done(e.reply(ctx, op.Reply, at+".reply")), func(a *fanoutv1.ReplyResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Reply{Reply: a}}
		})
	case *fanoutv1.Operation_EmitWithAck:
		return failed[*fanoutv1.OperationResult](invalid(&problems{at: at}, "emit_with_ack", "is awaited, which only a stream of Execute can do"))
	case *fanoutv1.Operation_Call:
		return failed[*fanoutv1.OperationResult](invalid(&problems{at: at}, "call", "is awaited, which only a stream of Execute can do"))
	}
	return failed[*fanoutv1.OperationResult](invalid(&problems{}, at, "must be one of the operations that there are"))
}

// reply is the EventService's, if there is one.
func (e *Emitter) reply(ctx context.Context, m *fanoutv1.ReplyRequest, at string) (*fanoutv1.ReplyResponse, error) {
	if e.events == nil {
		return nil, ErrUnknownMethod
	}
	p := problemsOf(ctx, at)
	if err := e.events.reply(&p, m); err != nil {
		return nil, err
	}
	return &fanoutv1.ReplyResponse{}, nil
}

// then makes an operation's result of its answer.
func then[T any](p pending[T], of func(T) *fanoutv1.OperationResult) result {
	convert := func(answer T, err error) (*fanoutv1.OperationResult, error) {
		if err != nil {
			return nil, err
		}
		return of(answer), nil
	}
	if p.wait == nil {
		return done(convert(p.answer, p.err))
	}
	return pending[*fanoutv1.OperationResult]{wait: func() (*fanoutv1.OperationResult, error) { return convert(p.wait()) }}
}

// scopeOf returns the scope of the RPC that does what the operation does, empty if it is
// none.
func scopeOf(m *fanoutv1.Operation) identity.Scope {
	method := ""
	switch m.GetOperation().(type) {
	case *fanoutv1.Operation_Emit:
		method = fanoutv1.EmitterService_Emit_FullMethodName
	case *fanoutv1.Operation_EmitWithAck:
		method = fanoutv1.EmitterService_EmitWithAck_FullMethodName
	case *fanoutv1.Operation_Call:
		method = fanoutv1.EmitterService_Call_FullMethodName
	case *fanoutv1.Operation_Join:
		method = fanoutv1.RegistryService_Join_FullMethodName
	case *fanoutv1.Operation_Leave:
		method = fanoutv1.RegistryService_Leave_FullMethodName
	case *fanoutv1.Operation_Update:
		method = fanoutv1.RegistryService_UpdateConnection_FullMethodName
	case *fanoutv1.Operation_UpdateAll:
		method = fanoutv1.RegistryService_UpdateConnections_FullMethodName
	case *fanoutv1.Operation_Disconnect:
		method = fanoutv1.RegistryService_Disconnect_FullMethodName
	case *fanoutv1.Operation_Reply:
		method = fanoutv1.EventService_Reply_FullMethodName
	}
	scope, _ := ScopeOf(method)
	return scope
}
