package control

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// The RPCs of the EmitterService that await browsers' answers.

const (
	// maxAckTimeout bounds how long answers may be awaited; the contract states
	// it. A person answers a dialog within the day, if at all.
	maxAckTimeout = 24 * time.Hour

	// summaryTime is what is kept of a caller's deadline to bring the summary
	// home.
	summaryTime = 100 * time.Millisecond
)

func (e *Emitter) EmitWithAck(req *fanoutv1.EmitWithAckRequest, stream grpc.ServerStreamingServer[fanoutv1.EmitWithAckResponse]) error {
	ctx := stream.Context()
	p := problemsOf(ctx, "")
	request, err := e.toAckRequest(ctx, &p, req)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		request.Timeout = min(request.Timeout, max(left-summaryTime, left/2, 1))
	}
	out := newHeartbeatSender(stream)
	defer out.due.Stop()
	end, broken := e.sendResults(ctx, out, request, req.GetDecode())
	if broken != nil {
		return broken
	}
	summary, err := end.response(&p, req)
	if err != nil {
		return err
	}
	return out.send(summary)
}

// toAckRequest converts an EmitWithAck, the message that p is about.
func (e *Emitter) toAckRequest(ctx context.Context, p *problems, req *fanoutv1.EmitWithAckRequest) (sio.AckRequest, error) {
	at := p.at
	p.at = place{inner: p.path("emit")}
	request := sio.AckRequest{Emit: toEmit(p, req.GetEmit()), MaxAcks: int(req.GetMaxAcks())}
	if req.GetEmit().GetIdempotencyKey() != "" {
		p.add("idempotency_key", "must be empty: answers cannot be given again")
	}
	if req.GetEmit().GetConflateKey() != "" {
		p.add("conflate_key", "must be empty: what is replaced would not be answered")
	}
	p.at = at
	request.Timeout = toTimeout(p, req.GetTimeout())
	if p.any() {
		checkNamespace(ctx, e.hub, p, request.Emit.To.Namespace, "emit.to.namespace")
		return request, p.err()
	}
	return request, nil
}

// ackEnd is what an EmitWithAck of the Hub ended with.
type ackEnd struct {
	summary sio.AckSummary
	err     error
}

// response is the summary, or what the request that p is about has failed with.
func (end *ackEnd) response(p *problems, req *fanoutv1.EmitWithAckRequest) (*fanoutv1.EmitWithAckResponse, error) {
	switch {
	case errors.As(end.err, new(*panicError)):
		return nil, end.err
	case errors.Is(end.err, sio.ErrTooLarge):
		p.at = place{inner: p.path("emit")}
		return nil, tooLarge(p, req.GetEmit())
	case end.err != nil:
		return nil, hubError(end.err, p, "emit.to.namespace")
	}
	return &fanoutv1.EmitWithAckResponse{Response: &fanoutv1.EmitWithAckResponse_Summary_{
		Summary: &fanoutv1.EmitWithAckResponse_Summary{
			Expected:     count(end.summary.Expected),
			Acked:        count(end.summary.Answered),
			TimedOut:     count(end.summary.TimedOut),
			Disconnected: count(end.summary.Disconnected),
			Unreachable:  end.summary.Unreachable,
		},
	}}, nil
}

// fromStarted says how many were asked.
func fromStarted(s sio.AckSummary) *fanoutv1.EmitWithAckResponse {
	return &fanoutv1.EmitWithAckResponse{Response: &fanoutv1.EmitWithAckResponse_Started_{
		Started: &fanoutv1.EmitWithAckResponse_Started{Expected: count(s.Expected), Unreachable: s.Unreachable},
	}}
}

// sendResults carries out the request and sends who is asked, what becomes of each
// connection, and heartbeats meanwhile. broken is the stream's error.
func (e *Emitter) sendResults(ctx context.Context, out heartbeatSender[fanoutv1.EmitWithAckResponse], request sio.AckRequest, decode bool) (end ackEnd, broken error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan sio.AckSummary, 1)
	results, ended := make(chan sio.AckResult), make(chan ackEnd, 1)
	request.Sent = func(s sio.AckSummary) { started <- s }
	begin := func() {
		select {
		case s := <-started:
			broken = out.send(fromStarted(s))
		default:
		}
	}
	go func() {
		var end ackEnd
		end.err = Recover(func() (err error) {
			end.summary, err = e.hub.EmitWithAck(ctx, request, func(r sio.AckResult) bool {
				select {
				case results <- r:
					return true
				case <-ctx.Done():
					return false
				}
			})
			return err
		})
		ended <- end
	}()
	for broken == nil {
		select {
		case s := <-started:
			broken = out.send(fromStarted(s))
		case r := <-results:
			if begin(); broken == nil {
				broken = out.send(fromResult(&r, decode))
			}
		case <-out.due.C:
			broken = out.send(ackHeartbeat)
		case end := <-ended:
			begin()
			return end, broken
		}
	}
	cancel()
	return <-ended, broken
}

// ackHeartbeat is the same for everybody, and read only.
var ackHeartbeat = &fanoutv1.EmitWithAckResponse{Response: &fanoutv1.EmitWithAckResponse_Heartbeat_{Heartbeat: &fanoutv1.EmitWithAckResponse_Heartbeat{}}}

func (e *Emitter) Call(ctx context.Context, req *fanoutv1.CallRequest) (*fanoutv1.CallResponse, error) {
	p := problemsOf(ctx, "")
	request, err := e.toCall(ctx, &p, req)
	if err != nil {
		return nil, err
	}
	return e.call(ctx, &p, req, request)
}

// toCall converts a Call, the message that p is about.
func (e *Emitter) toCall(ctx context.Context, p *problems, req *fanoutv1.CallRequest) (sio.AckRequest, error) {
	id, namespace := req.GetId(), namespaceName(req.GetNamespace())
	p.needConnection(namespace)
	if sio.Spans(namespace) {
		p.add("namespace", "must be the name of one namespace")
	}
	if id == "" {
		p.add("id", "must not be empty")
	}
	request := sio.AckRequest{
		Emit: sio.Emit{
			To:          sio.Target{Namespace: namespace, Selector: room.Selector{IDs: []string{id}}},
			Event:       toEvent(p, req.GetEvent()),
			Args:        toArgs(p, req),
			Attachments: req.GetAttachments(),
			Compress:    true,
		},
		Timeout: toTimeout(p, req.GetTimeout()),
	}
	if p.any() {
		checkNamespace(ctx, e.hub, p, namespace, "namespace")
		return request, p.err()
	}
	return request, nil
}

// call carries out a Call that was converted to request.
func (e *Emitter) call(ctx context.Context, p *problems, req *fanoutv1.CallRequest, request sio.AckRequest) (*fanoutv1.CallResponse, error) {
	var got sio.AckResult
	summary, err := e.hub.EmitWithAck(ctx, request, func(o sio.AckResult) bool {
		got = o
		return true
	})
	switch {
	case err != nil:
		return nil, callError(err, p, req)
	case len(summary.Unreachable) > 0:
		return nil, errUnreachable(summary.Unreachable[0])
	case summary.Expected == 0:
		return nil, errNoConnection(request.Emit.To.Namespace, req.GetId())
	case summary.Disconnected > 0:
		got.Outcome = sio.Disconnected
	case summary.Answered == 0:
		got.Outcome = sio.TimedOut
	}
	return callResponse(&got, req.GetDecode())
}

// callError codes what the Hub answered to the Call that p is about.
func callError(err error, p *problems, req *fanoutv1.CallRequest) error {
	switch {
	case errors.Is(err, sio.ErrTooLarge):
		return tooLarge(p, req)
	case errors.Is(err, sio.ErrNotFound):
		return errNoConnection(namespaceName(req.GetNamespace()), req.GetId())
	}
	return hubError(err, p, "namespace")
}

// callResponse is what a connection answered to a Call, or why there is no answer.
func callResponse(r *sio.AckResult, decode bool) (*fanoutv1.CallResponse, error) {
	switch r.Outcome {
	case sio.Answered:
	case sio.Disconnected:
		return nil, errConnectionEnded()
	case sio.Canceled:
		return nil, context.Canceled
	case sio.TimedOut:
		return nil, errNoAnswer
	}
	resp := &fanoutv1.CallResponse{ArgsJson: string(r.Args), Attachments: r.Attachments}
	if decode {
		resp.Args = decodeArgs(r.Args)
	}
	return resp, nil
}

// toTimeout converts the required field `timeout`.
func toTimeout(p *problems, m *durationpb.Duration) time.Duration {
	d := m.AsDuration()
	switch {
	case m == nil:
		p.add("timeout", "is required")
	case !m.IsValid():
		p.add("timeout", "is no valid duration")
	case d <= 0:
		p.add("timeout", "must be positive")
	case d > maxAckTimeout:
		p.add("timeout", "%v, but at most %v are allowed", d, maxAckTimeout)
	}
	return d
}

// reasons are sio's outcomes of those that did not answer, in the contract's words.
var reasons = map[sio.Outcome]fanoutv1.EmitWithAckResponse_Failed_Reason{
	sio.TimedOut:     fanoutv1.EmitWithAckResponse_Failed_TIMEOUT,
	sio.Disconnected: fanoutv1.EmitWithAckResponse_Failed_DISCONNECTED,
}

func fromResult(o *sio.AckResult, decode bool) *fanoutv1.EmitWithAckResponse {
	if o.Outcome != sio.Answered {
		return &fanoutv1.EmitWithAckResponse{Response: &fanoutv1.EmitWithAckResponse_Failed_{
			Failed: &fanoutv1.EmitWithAckResponse_Failed{ConnectionId: o.ConnectionID, Reason: reasons[o.Outcome]},
		}}
	}
	ack := &fanoutv1.EmitWithAckResponse_Ack{
		ConnectionId: o.ConnectionID, ArgsJson: string(o.Args), Attachments: o.Attachments,
	}
	if decode {
		ack.Args = decodeArgs(o.Args)
	}
	return &fanoutv1.EmitWithAckResponse{Response: &fanoutv1.EmitWithAckResponse_Ack_{Ack: ack}}
}
