package control

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// The RPCs of the EmitterService that await browsers' answers.

const (
	// maxAskTimeout bounds how long answers may be awaited; the contract states
	// it. People need minutes to answer a dialog, and no longer.
	maxAskTimeout = 5 * time.Minute

	// summaryTime is what is kept of a caller's deadline to bring the summary
	// home.
	summaryTime = 100 * time.Millisecond
)

func (e *Emitter) EmitWithAck(req *fanoutv1.EmitWithAckRequest, stream grpc.ServerStreamingServer[fanoutv1.EmitWithAckResponse]) error {
	ctx := stream.Context()
	p := problems{at: "emit"}
	ask := sio.Ask{Emit: toEmit(&p, req.GetEmit()), Enough: int(req.GetMaxAcks())}
	if req.GetEmit().GetIdempotencyKey() != "" {
		p.add("idempotency_key", "must be empty: answers cannot be given again")
	}
	p.at = ""
	ask.Timeout = toTimeout(&p, req.GetTimeout())
	if p.any() {
		checkNamespace(ctx, e.hub, &p, ask.Emit.To.Namespace, "emit.to.namespace")
		return p.err()
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		ask.Timeout = min(ask.Timeout, max(left-summaryTime, left/2, 1))
	}
	var broken error
	tally, err := e.hub.Ask(ctx, ask, func(o sio.Outcome) bool {
		broken = stream.Send(fromOutcome(&o, req.GetDecode()))
		return broken == nil
	})
	switch {
	case broken != nil:
		return broken
	case errors.Is(err, sio.ErrTooLarge):
		p.at = "emit"
		return tooLarge(&p, req.GetEmit())
	case err != nil:
		return hubError(err, &p, "emit.to.namespace")
	}
	return stream.Send(&fanoutv1.EmitWithAckResponse{Response: &fanoutv1.EmitWithAckResponse_Summary_{
		Summary: &fanoutv1.EmitWithAckResponse_Summary{
			Expected:     count(tally.Expected),
			Acked:        count(tally.Answered),
			TimedOut:     count(tally.TimedOut),
			Disconnected: count(tally.Gone),
		},
	}})
}

func (e *Emitter) Call(ctx context.Context, req *fanoutv1.CallRequest) (*fanoutv1.CallResponse, error) {
	var p problems
	id, namespace := req.GetConnectionId(), namespaceName(req.GetNamespace())
	if id == "" {
		p.add("connection_id", "must not be empty")
	}
	ask := sio.Ask{
		Emit: sio.Emit{
			To:          sio.Target{Namespace: namespace, Selector: room.Selector{IDs: []string{id}}},
			Event:       toEvent(&p, req.GetEvent()),
			Args:        toArgs(&p, req),
			Attachments: req.GetAttachments(),
			Compress:    true,
		},
		Timeout: toTimeout(&p, req.GetTimeout()),
	}
	if p.any() {
		checkNamespace(ctx, e.hub, &p, namespace, "namespace")
		return nil, p.err()
	}
	var got sio.Outcome
	tally, err := e.hub.Ask(ctx, ask, func(o sio.Outcome) bool {
		got = o
		return true
	})
	switch {
	case errors.Is(err, sio.ErrTooLarge):
		return nil, tooLarge(&p, req)
	case err != nil:
		return nil, hubError(err, &p, "namespace")
	case tally.Expected == 0:
		return nil, errNoConnection(namespace, id)
	case tally.Gone > 0:
		return nil, newError(codes.Aborted, "the connection ended before it answered",
			&errdetails.ErrorInfo{Reason: "DISCONNECTED", Domain: errorDomain})
	case tally.Answered == 0:
		return nil, status.Error(codes.DeadlineExceeded, "the connection did not answer in time")
	}
	resp := &fanoutv1.CallResponse{ArgsJson: string(got.Args), Attachments: got.Attachments}
	if req.GetDecode() {
		resp.Args = decodeArgs(got.Args)
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
	case d > maxAskTimeout:
		p.add("timeout", "%v, but at most %v are allowed", d, maxAskTimeout)
	}
	return d
}

// fates are sio's fates of those that did not answer, in the contract's words.
var fates = map[sio.Fate]fanoutv1.EmitWithAckResponse_Failed_Reason{
	sio.TimedOut: fanoutv1.EmitWithAckResponse_Failed_TIMEOUT,
	sio.Gone:     fanoutv1.EmitWithAckResponse_Failed_DISCONNECTED,
}

func fromOutcome(o *sio.Outcome, decode bool) *fanoutv1.EmitWithAckResponse {
	if o.Fate != sio.Answered {
		return &fanoutv1.EmitWithAckResponse{Response: &fanoutv1.EmitWithAckResponse_Failed_{
			Failed: &fanoutv1.EmitWithAckResponse_Failed{ConnectionId: o.ConnectionID, Reason: fates[o.Fate]},
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
