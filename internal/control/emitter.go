package control

import (
	"context"
	"fmt"

	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// maxBatch bounds the work of one call, and the size of its answer.
const maxBatch = 1000

// Emitter is the EmitterService.
type Emitter struct {
	fanoutv1.UnimplementedEmitterServiceServer

	hub      Hub
	errors   *ErrorReporter
	keys     Keys
	draining <-chan struct{} // closed when the daemon is about to shut down
	// registry and events carry out what is not the emitter's own of a stream or batch of
	// operations; events may be nil.
	registry *Registry
	events   *Events

	streams streamGoroutines
}

// newEmitter returns the EmitterService over hub. Items of batches and streams
// that fail inside are reported to errors. Streams tell their callers once
// draining is closed, and end soon after.
func newEmitter(hub Hub, keys Keys, errors *ErrorReporter, draining <-chan struct{}) *Emitter {
	return &Emitter{
		hub: hub, errors: errors, keys: keys, draining: draining,
		streams: streamGoroutines{errors: errors},
	}
}

// Wait waits for the goroutines of all streams. They end soon after their calls, so it is to be called when every transport has ended.
func (e *Emitter) Wait() { e.streams.Wait() }

var _ fanoutv1.EmitterServiceServer = (*Emitter)(nil)

func (e *Emitter) Emit(ctx context.Context, req *fanoutv1.EmitRequest) (*fanoutv1.EmitResponse, error) {
	return e.emit(ctx, req, "")
}

func (e *Emitter) EmitBatch(ctx context.Context, req *fanoutv1.EmitBatchRequest) (*fanoutv1.EmitBatchResponse, error) {
	emits := req.GetEmits()
	if len(emits) > maxBatch {
		return nil, invalid(&problems{}, "emits", "%d emits, but at most %d are allowed", len(emits), maxBatch)
	}
	results := make([]*fanoutv1.EmitBatchResponse_Result, len(emits))
	for i, m := range emits {
		resp, err := e.emit(ctx, m, fmt.Sprintf("emits[%d]", i))
		results[i] = &fanoutv1.EmitBatchResponse_Result{Response: resp}
		if err = e.errors.Code(ctx, fanoutv1.EmitterService_EmitBatch_FullMethodName, err); err != nil {
			results[i].Status = fromStatus(status.Convert(err))
		}
	}
	return &fanoutv1.EmitBatchResponse{Results: results}, nil
}

// emit carries out one emit. at is the path of m in its request.
func (e *Emitter) emit(ctx context.Context, m *fanoutv1.EmitRequest, at string) (*fanoutv1.EmitResponse, error) {
	return answer(e.submit(ctx, m, place{inner: at}), emitResponse)
}

// submit carries out one emit.
func (e *Emitter) submit(ctx context.Context, m *fanoutv1.EmitRequest, at place) pending {
	p := problemsAt(ctx, at)
	return carryOut(ctx, e.hub, e.keys, &p, change{toEmit(&p, m), m.GetIdempotencyKey()}, m)
}

func emitResponse(a applied) *fanoutv1.EmitResponse {
	return &fanoutv1.EmitResponse{
		Matched: count(a.Matched), Duplicate: a.duplicate,
		Partial: a.Partial, Unreachable: a.Unreachable, Forwarded: count(a.Forwarded),
	}
}
