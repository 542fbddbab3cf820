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
	switch op := m.GetOperation().(type) {
	case *fanoutv1.Operation_Emit:
		return within(ctx, fanoutv1.EmitterService_Emit_FullMethodName, func() pending[*fanoutv1.EmitResponse] {
			return e.submit(ctx, op.Emit, at+".emit")
		}, func(a *fanoutv1.EmitResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Emit{Emit: a}}
		})
	case *fanoutv1.Operation_Join:
		return within(ctx, fanoutv1.RegistryService_Join_FullMethodName, func() pending[*fanoutv1.JoinResponse] {
			return e.registry.join(ctx, op.Join, at+".join")
		}, func(a *fanoutv1.JoinResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Join{Join: a}}
		})
	case *fanoutv1.Operation_Leave:
		return within(ctx, fanoutv1.RegistryService_Leave_FullMethodName, func() pending[*fanoutv1.LeaveResponse] {
			return e.registry.leave(ctx, op.Leave, at+".leave")
		}, func(a *fanoutv1.LeaveResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Leave{Leave: a}}
		})
	case *fanoutv1.Operation_Update:
		return within(ctx, fanoutv1.RegistryService_UpdateConnection_FullMethodName, func() pending[*fanoutv1.UpdateConnectionResponse] {
			return done(e.registry.update(ctx, op.Update, at+".update"))
		}, func(a *fanoutv1.UpdateConnectionResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Update{Update: a}}
		})
	case *fanoutv1.Operation_UpdateAll:
		return within(ctx, fanoutv1.RegistryService_UpdateConnections_FullMethodName, func() pending[*fanoutv1.UpdateConnectionsResponse] {
			return e.registry.updateAll(ctx, op.UpdateAll, at+".update_all")
		}, func(a *fanoutv1.UpdateConnectionsResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_UpdateAll{UpdateAll: a}}
		})
	case *fanoutv1.Operation_Disconnect:
		return within(ctx, fanoutv1.RegistryService_Disconnect_FullMethodName, func() pending[*fanoutv1.DisconnectResponse] {
			return e.registry.disconnect(ctx, op.Disconnect, at+".disconnect")
		}, func(a *fanoutv1.DisconnectResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Disconnect{Disconnect: a}}
		})
	case *fanoutv1.Operation_Reply:
		return within(ctx, fanoutv1.EventService_Reply_FullMethodName, func() pending[*fanoutv1.ReplyResponse] {
			return done(e.reply(ctx, op.Reply, at+".reply"))
		}, func(a *fanoutv1.ReplyResponse) *fanoutv1.OperationResult {
			return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Reply{Reply: a}}
		})
	case *fanoutv1.Operation_EmitWithAck:
		return awaitedHere(ctx, fanoutv1.EmitterService_EmitWithAck_FullMethodName, at, "emit_with_ack")
	case *fanoutv1.Operation_Call:
		return awaitedHere(ctx, fanoutv1.EmitterService_Call_FullMethodName, at, "call")
	}
	return failed[*fanoutv1.OperationResult](invalid(&problems{}, at, "must be one of the operations that there are"))
}

// within carries out an operation, which is named after this method, if the caller may call
// that; of makes its result of the answer.
func within[T any](ctx context.Context, method string, do func() pending[T], of func(T) *fanoutv1.OperationResult) result {
	if err := requireScopeOf(ctx, method); err != nil {
		return failed[*fanoutv1.OperationResult](err)
	}
	return then(do(), of)
}

// awaitedHere refuses an operation that is awaited where nothing can be.
func awaitedHere(ctx context.Context, method, at, kind string) result {
	err := requireScopeOf(ctx, method)
	if err == nil {
		err = invalid(&problems{at: at}, kind, "is awaited, which only a stream of Execute can do")
	}
	return failed[*fanoutv1.OperationResult](err)
}

// requireScopeOf returns why the caller may not call this method, nil if it may.
func requireScopeOf(ctx context.Context, method string) error {
	scope, _ := ScopeOf(method)
	return identity.FromContext(ctx).Require(scope)
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
