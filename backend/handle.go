package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// RetryError is an error that says when the event is to come again. A handler
// returns it for what is likely to last, such as a service that asked for a pause.
type RetryError struct {
	After time.Duration // at most 1 h; 0: the daemon's pause, from 100 ms to 12.8 s
	Err   error
}

func (e *RetryError) Error() string { return fmt.Sprintf("try again in %v: %v", e.After, e.Err) }

// Unwrap returns Err.
func (e *RetryError) Unwrap() error { return e.Err }

// maxRetryAfter is the longest pause that the daemon takes.
const maxRetryAfter = time.Hour

// outcome is what becomes of a delivery.
type outcome struct {
	id      string                   // of the delivery
	request *fanoutv1.ConsumeRequest // that settles it; nil: an ack
	again   bool                     // it is given back
	last    bool                     // nothing else is left to try
	bytes   int                      // of request, once it is remembered
}

// handle runs the handler for an event and says what becomes of it. ctx ends when
// the delivery is taken back.
func (c *Consumer) handle(ctx context.Context, d *delivery) outcome {
	o := outcome{id: d.event.deliveryID}
	var err error
	switch d.kind {
	case fanoutv1.Event_CONNECTING:
		if c.connecting != nil {
			o.request, err = c.decide(ctx, d.event)
		}
	case fanoutv1.Event_CONNECTED:
		err = c.observe(ctx, d.event, c.connect)
	case fanoutv1.Event_DISCONNECTED:
		err = c.observe(ctx, d.event, c.disconnect)
	case fanoutv1.Event_RECOVERY_EXPIRED:
		err = c.observe(ctx, d.event, c.expired)
	case fanoutv1.Event_MESSAGE:
		o.request, err = c.answer(ctx, d.event)
	}
	if err == nil {
		return o
	}
	log := c.log.With("event", d.event.Name, "kind", d.kind.String(), "connection", d.event.ID, "attempt", d.event.Attempt, "error", err)
	var args *ArgsError
	if errors.As(err, &args) {
		log.Debug("an event is not what its handler expects")
		return o
	}
	log.Warn("a handler failed; the event comes again")
	nack := &fanoutv1.ConsumeRequest_Nack{DeliveryIds: []string{o.id}}
	var retry *RetryError
	if errors.As(err, &retry) && retry.After > 0 {
		nack.Delay = durationpb.New(min(retry.After, maxRetryAfter))
	}
	o.again = true
	o.request = &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Nack_{Nack: nack}}
	return o
}

// recovered turns a handler's panic into an error: one event that nobody can
// handle is not to end one backend after the other.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

func (c *Consumer) observe(ctx context.Context, e *Event, h func(context.Context, *Event) error) (err error) {
	defer recovered(&err)
	if h == nil {
		return nil
	}
	return h(ctx, e)
}

// answer handles what a browser emitted. The request is nil if it awaits no
// reply.
func (c *Consumer) answer(ctx context.Context, e *Event) (_ *fanoutv1.ConsumeRequest, err error) {
	defer recovered(&err)
	h := c.handlers[e.Name]
	if h == nil {
		h = c.any
	}
	if h == nil {
		return nil, nil
	}
	reply, err := h(ctx, e)
	if err != nil || !e.ReplyExpected || e.replied.Load() {
		return nil, err
	}
	text, attachments, err := encode(reply)
	if err != nil {
		return nil, fmt.Errorf("the reply: %w", err)
	}
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Reply{Reply: &fanoutv1.ReplyRequest{
		DeliveryId: e.deliveryID, ArgsJson: text, Attachments: attachments,
	}}}, nil
}

// decide asks the OnConnecting handler. Whatever is no permission refuses.
func (c *Consumer) decide(ctx context.Context, e *Event) (_ *fanoutv1.ConsumeRequest, err error) {
	defer recovered(&err)
	grant, err := c.connecting(ctx, e)
	var args *ArgsError
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return refuse(e.deliveryID, r)
	case errors.As(err, &args):
		return refuse(e.deliveryID, &Refusal{})
	case err != nil:
		return nil, err
	}
	for _, text := range append(grant.Rooms[:len(grant.Rooms):len(grant.Rooms)], grant.UserID) {
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("the grant: %q is no UTF-8", text)
		}
	}
	allow := &fanoutv1.ConsumeRequest_Verdict_Allow{UserId: grant.UserID, Rooms: grant.Rooms}
	if len(grant.Data) > 0 {
		if allow.DataJson, err = dataText(grant.Data); err != nil {
			return nil, err
		}
	}
	if !grant.ExpireAt.IsZero() {
		allow.ExpireAt = timestamppb.New(grant.ExpireAt)
	}
	return verdict(&fanoutv1.ConsumeRequest_Verdict{
		DeliveryId: e.deliveryID, Decision: &fanoutv1.ConsumeRequest_Verdict_Allow_{Allow: allow},
	}), nil
}

func refuse(deliveryID string, r *Refusal) (*fanoutv1.ConsumeRequest, error) {
	data, err := dataText(r.Data)
	if err != nil {
		return nil, err
	}
	return verdict(&fanoutv1.ConsumeRequest_Verdict{
		DeliveryId: deliveryID,
		Decision: &fanoutv1.ConsumeRequest_Verdict_Refuse_{
			Refuse: &fanoutv1.ConsumeRequest_Verdict_Refuse{Message: strings.ToValidUTF8(r.Message, "\uFFFD"), DataJson: data, Retry: r.Retry},
		},
	}), nil
}

func verdict(v *fanoutv1.ConsumeRequest_Verdict) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Verdict_{Verdict: v}}
}

// dataText returns data as JSON text, none for nil.
func dataText(data any) (string, error) {
	if data == nil {
		return "", nil
	}
	text, err := json.Marshal(data)
	if err != nil {
		return "", fmt.Errorf("the data: %w", err)
	}
	return strings.ToValidUTF8(string(text), "\uFFFD"), nil
}

// rejected deals with a settlement that the daemon did not carry out.
func (c *Consumer) rejected(s *stream, qs *queues, r *fanoutv1.ConsumeResponse_Rejected) {
	log := c.log.With("delivery", r.GetDeliveryId(), "request", r.GetRequest().String(), "why", r.GetStatus().GetMessage())
	if r.GetRequest() == fanoutv1.ConsumeResponse_Rejected_ANSWER {
		log.Warn("an answer to a message was not taken, or came too late")
		return
	}
	if codes.Code(r.GetStatus().GetCode()) != codes.InvalidArgument {
		log.Debug("too late: the delivery went elsewhere, or its browser left")
		qs.resume(s, r.GetDeliveryId())
		return
	}
	if o, ok := qs.lastResort(r.GetDeliveryId()); ok { // the delivery still waits
		log.Error("a reply or a verdict cannot be sent: settling without a reply, or refusing")
		s.amend(o)
	}
}
