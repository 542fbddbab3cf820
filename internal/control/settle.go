package control

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Bounds of a verdict; the contract states them. What is allowed stays with the
// connection and is part of its CONNECTED; what is refused has to fit into any
// client's queue.
const (
	maxUser           = 1024    // bytes
	maxRefusalMessage = 1024    // bytes
	maxRefusalData    = 8 << 10 // bytes of JSON
)

// maxRejectedID bounds what a rejection repeats of a delivery id, in bytes: the worker
// chose it. Ids of deliveries are far shorter.
const maxRejectedID = 256

// receive carries out what the worker says, one message after the other, until
// it has closed its side, which is nil, or the stream breaks.
func (c *consumer) receive() error {
	for {
		m, err := c.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.take(m); err != nil {
			return err
		}
	}
}

// take carries out one message. What cannot be done is rejected; an error
// ends the stream.
func (c *consumer) take(m *fanoutv1.ConsumeRequest) error {
	switch m := m.GetRequest().(type) {
	case *fanoutv1.ConsumeRequest_Ack_:
		return c.each(fanoutv1.ConsumeResponse_Rejected_ACK, m.Ack.GetDeliveryIds(), c.subscription.Ack)
	case *fanoutv1.ConsumeRequest_Nack_:
		return c.nack(m.Nack)
	case *fanoutv1.ConsumeRequest_Working_:
		return c.each(fanoutv1.ConsumeResponse_Rejected_WORKING, m.Working.GetDeliveryIds(), c.subscription.Working)
	case *fanoutv1.ConsumeRequest_Reply:
		return c.reject(fanoutv1.ConsumeResponse_Rejected_REPLY, m.Reply.GetDeliveryId(), c.reply(m.Reply))
	case *fanoutv1.ConsumeRequest_Replies_:
		for _, r := range m.Replies.GetReplies() {
			if err := c.reject(fanoutv1.ConsumeResponse_Rejected_REPLY, r.GetDeliveryId(), c.reply(r)); err != nil {
				return err
			}
		}
		return nil
	case *fanoutv1.ConsumeRequest_Verdict_:
		return c.reject(fanoutv1.ConsumeResponse_Rejected_VERDICT, m.Verdict.GetDeliveryId(), c.verdict(m.Verdict))
	case *fanoutv1.ConsumeRequest_Answer_:
		return c.reject(fanoutv1.ConsumeResponse_Rejected_ANSWER, m.Answer.GetPublishId(), c.answer(m.Answer))
	case *fanoutv1.ConsumeRequest_Leave_:
		if !c.left {
			c.left = true
			close(c.leave)
		}
		return nil
	case *fanoutv1.ConsumeRequest_Open_:
		return invalid(&problems{}, "open", "must be the first message and only that")
	}
	return invalid(&problems{}, "request", "must not be empty")
}

// each settles deliveries as the request says.
func (c *consumer) each(request fanoutv1.ConsumeResponse_Rejected_Request, ids []string, settle func(id string) error) error {
	for _, id := range ids {
		if err := settle(id); err != nil {
			at := strings.ToLower(request.String()) // the field is named alike
			if err := c.reject(request, id, settleError(err, &problems{at: place{inner: at}})); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *consumer) nack(m *fanoutv1.ConsumeRequest_Nack) error {
	p := problems{at: place{inner: "nack"}}
	delay := toDuration(&p, "delay", m.GetDelay(), 0, maxNackDelay)
	giveBack := func(id string) error { return c.subscription.Nack(id, delay) }
	switch m.GetReason() {
	case fanoutv1.ConsumeRequest_Nack_FAILED:
	case fanoutv1.ConsumeRequest_Nack_UNAVAILABLE:
		giveBack = func(id string) error { return c.subscription.Postpone(id, delay) }
	case fanoutv1.ConsumeRequest_Nack_REJECTED:
		giveBack = c.subscription.Bury
	default:
		p.add("reason", "%d is no value of this field", m.GetReason())
	}
	if p.any() {
		for _, id := range m.GetDeliveryIds() {
			if err := c.reject(fanoutv1.ConsumeResponse_Rejected_NACK, id, p.err()); err != nil {
				return err
			}
		}
		return nil
	}
	return c.each(fanoutv1.ConsumeResponse_Rejected_NACK, m.GetDeliveryIds(), giveBack)
}

// reply answers the browser, and settles the delivery unless the reply could
// not be understood: then a better one may follow.
func (c *consumer) reply(m *fanoutv1.ReplyRequest) error {
	p := problemsOf(c.ctx, "reply")
	err := c.events.reply(&p, m)
	if status.Code(err) == codes.InvalidArgument {
		return err
	}
	// It may have been settled before; a CONNECTING cannot be settled so.
	if ackErr := c.subscription.Ack(m.GetDeliveryId()); errors.Is(ackErr, dispatch.ErrNoVerdict) {
		return settleError(ackErr, &problems{at: place{inner: "reply"}})
	}
	return err
}

func (c *consumer) verdict(m *fanoutv1.ConsumeRequest_Verdict) error {
	p := problems{at: place{inner: "verdict"}}
	v := toVerdict(&p, m)
	if p.any() {
		return p.err()
	}
	return settleError(c.subscription.Verdict(m.GetDeliveryId(), v), &p)
}

func toVerdict(p *problems, m *fanoutv1.ConsumeRequest_Verdict) (v dispatch.Verdict) {
	if m.GetDeliveryId() == "" {
		p.add("delivery_id", "must not be empty")
	}
	switch d := m.GetDecision().(type) {
	case *fanoutv1.ConsumeRequest_Verdict_Allow_:
		v.Allow = true
		v.User = d.Allow.GetUserId()
		v.Rooms = d.Allow.GetRooms()
		v.UserData = toData(p, "allow.", d.Allow, sio.MaxData)
		v.ExpiresAt = toExpiry(p, "allow.expire_at", d.Allow.GetExpireAt())
		atMost(p, "allow.user_id", v.User, maxUser)
		names(p, "allow.rooms", v.Rooms, maxRooms, maxRoomName)
	case *fanoutv1.ConsumeRequest_Verdict_Refuse_:
		v.Message, v.Retry = d.Refuse.GetMessage(), d.Refuse.GetRetry()
		atMost(p, "refuse.message", v.Message, maxRefusalMessage)
		v.Data = toRefusalData(p, d.Refuse)
	default:
		p.add("decision", "must be allow or refuse")
	}
	return v
}

// reject tells the worker that what it asked for about a delivery was not done, and why;
// nil is nothing to tell. It blocks while too much of that
// waits, until the stream ends, which is its error.
func (c *consumer) reject(request fanoutv1.ConsumeResponse_Rejected_Request, id string, err error) error {
	if err == nil {
		return nil
	}
	err = c.events.errors.Code(c.ctx, fanoutv1.EventService_Consume_FullMethodName, err)
	m := &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Rejected_{Rejected: &fanoutv1.ConsumeResponse_Rejected{
		DeliveryId: rejectedID(id), Status: fromStatus(status.Convert(err)), Request: request,
	}}}
	select {
	case c.rejected <- m:
		return nil
	case <-c.ctx.Done():
		return status.FromContextError(c.ctx.Err()).Err()
	}
}

// rejectedID is what a rejection repeats of id. The beginning of a longer one is
// copied, so that its message is not kept while the rejection waits.
func rejectedID(id string) string {
	if len(id) <= maxRejectedID {
		return id
	}
	cut := maxRejectedID
	for !utf8.RuneStart(id[cut]) {
		cut--
	}
	return strings.Clone(id[:cut])
}
