package control

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"runtime"
	"strings"
	"time"
	"unicode"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// Bounds of what one consumer may ask for; the contract states them.
const (
	maxInFlight         = 10_000
	defaultInFlight     = 1000
	maxConsumerName     = 128 // bytes of a group's or a consumer's name
	maxNamespaceFilter  = 100
	maxEventFilter      = 1000
	maxEventName        = 1024 // bytes
	maxConnectionList   = 1000
	minMessageBytes     = 64 << 10
	defaultMessageBytes = 4 << 20 // what gRPC libraries take
	minAckWait          = time.Second
	maxAckWait          = time.Hour
	maxNackDelay        = time.Hour
)

// maxRejected bounds the rejections that wait to be sent on one stream: past it
// a consumer that does not read is not read either. The contract states it.
const maxRejected = 1024

// flushWait is how long a worker that has closed its side may take to read what is
// left to say: as long as it may leave events unread.
const flushWait = 10 * time.Second

type consumeStream = grpc.BidiStreamingServer[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse]

// consumer is one Consume stream. A goroutine receives what the worker says and
// carries it out, another sends all that the worker hears, and the caller's
// goroutine waits for whatever ends first: the other two may hang in the
// stream, from which only the end of the call frees them.
type consumer struct {
	// Immutable.
	events       *Events
	stream       consumeStream
	ctx          context.Context // the stream's
	subscription Subscription
	sub          dispatch.SubscriptionOptions
	decode       bool
	// Bytes of a message that the consumer takes.
	maxMessageBytes int

	rejected chan *fanoutv1.ConsumeResponse // from the receiver to the sender
	leave    chan struct{}                  // closed when the worker said leave
	left     bool                           // leave is closed; the receiver's
}

func (e *Events) Consume(stream consumeStream) error {
	c, err := e.open(stream)
	if err != nil {
		return err
	}
	defer c.subscription.Close()
	sent := c.start(c.send)
	received := c.start(c.receive)
	select {
	case err := <-received:
		if err != nil {
			return err
		}
		// The worker has closed its side: what it had not settled goes to
		// others at once, and it hears what is left to say.
		c.subscription.Close()
		late := time.NewTimer(flushWait)
		defer late.Stop()
		select {
		case err := <-sent:
			return err
		case <-late.C:
			return consumerError(dispatch.ErrStalled)
		}
	case err := <-sent:
		return err
	case <-c.subscription.Done():
		return consumerError(c.subscription.Err())
	}
}

// start runs f on a goroutine of the stream's.
func (c *consumer) start(f func() error) <-chan error {
	return c.events.streams.start(c.ctx, fanoutv1.EventService_Consume_FullMethodName, f)
}

// open reads the first message and joins the group.
func (e *Events) open(stream consumeStream) (*consumer, error) {
	if e.closing() {
		return nil, ErrClosing
	}
	caller := problemsOf(stream.Context(), "")
	caller.needEveryRoom("") // events are of connections, whatever their rooms
	if caller.any() {
		return nil, caller.err()
	}
	first, err := e.first(stream)
	if err != nil {
		return nil, err
	}
	open := first.GetOpen()
	if open == nil {
		return nil, invalid(&problems{}, "open", "must be the first message")
	}
	if open.GetAuthorize() {
		if err := identity.FromContext(stream.Context()).Require(identity.Authorize); err != nil {
			return nil, err
		}
	}
	p := problemsOf(stream.Context(), "open")
	sub := e.toSubscription(stream.Context(), &p, open)
	most := toMessageBytes(&p, open.GetMaxMessageBytes())
	if p.any() {
		return nil, p.err()
	}
	subscription, err := e.dispatcher.Subscribe(sub)
	if errors.Is(err, dispatch.ErrTaken) {
		p.deny("consumer_id")
		return nil, p.err()
	}
	if err != nil {
		return nil, consumerError(err)
	}
	return &consumer{
		events: e, stream: stream, ctx: stream.Context(), subscription: subscription, sub: sub, decode: open.GetDecode(), maxMessageBytes: most,
		rejected: make(chan *fanoutv1.ConsumeResponse, maxRejected), leave: make(chan struct{}),
	}, nil
}

// first returns the first message, nil if there is none, unless the daemon drains
// before it comes.
func (e *Events) first(stream consumeStream) (*fanoutv1.ConsumeRequest, error) {
	var first *fanoutv1.ConsumeRequest
	received := e.streams.start(stream.Context(), fanoutv1.EventService_Consume_FullMethodName, func() (err error) {
		if first, err = stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		}
		return err
	})
	select {
	case err := <-received:
		return first, err
	case <-e.draining:
		return nil, ErrClosing
	}
}

func (e *Events) toSubscription(ctx context.Context, p *problems, m *fanoutv1.ConsumeRequest_Open) dispatch.SubscriptionOptions {
	sub := dispatch.SubscriptionOptions{
		Group:        m.GetGroup(),
		ConsumerID:   m.GetConsumerId(),
		Namespaces:   e.toNamespaces(ctx, p, m.GetNamespaces()),
		Events:       toEventNames(p, m.GetEvents()),
		Lifecycle:    m.GetLifecycle(),
		SkipExisting: m.GetSkipExisting(),
		Authorize:    m.GetAuthorize(),
		Assignments:  m.GetAssignments(),
		NoEvents:     m.GetNoEvents(),
		Topics:       toTopics(p, m.GetTopics()),
		OneByOne:     m.GetOneByOne(),
		MaxInFlight:  int(min(m.GetMaxInFlight(), maxInFlight)),
		Node:         e.node,
		Caller:       p.caller.Name,
		OnlyOwn:      p.caller.Limited(),

		IncludeConnection: m.GetIncludeConnection(),
		View:              toView(p, m.GetView()),
		RecoveryExpired:   m.GetRecoveryExpired(),
	}
	if sub.RecoveryExpired && !sub.Lifecycle {
		p.add("recovery_expired", "needs lifecycle")
	}
	if sub.NoEvents {
		needNoEvents(p, m)
	}
	if sub.Group == "" {
		p.add("group", "must not be empty")
	}
	consumerName(p, "group", sub.Group)
	consumerName(p, "consumer_id", sub.ConsumerID)
	if sub.ConsumerID == "" {
		sub.ConsumerID = rand.Text()
	}
	if sub.MaxInFlight == 0 {
		sub.MaxInFlight = defaultInFlight
	}
	sub.AckWait = toDuration(p, "ack_wait", m.GetAckWait(), minAckWait, maxAckWait)
	return sub
}

// needNoEvents notes what an open that declines events must not ask for, and that it has to
// ask for something.
func needNoEvents(p *problems, m *fanoutv1.ConsumeRequest_Open) {
	if len(m.GetTopics()) == 0 {
		p.add("no_events", "needs topics")
	}
	for _, f := range []struct {
		name  string
		asked bool
	}{
		{"namespaces", len(m.GetNamespaces()) > 0}, {"events", len(m.GetEvents()) > 0}, {"lifecycle", m.GetLifecycle()},
		{"authorize", m.GetAuthorize()}, {"assignments", m.GetAssignments()},
	} {
		if f.asked {
			p.add(f.name, "asks for events, which no_events declines")
		}
	}
}

// toMessageBytes converts the field `max_message_bytes`.
func toMessageBytes(p *problems, n uint32) int {
	switch {
	case n == 0:
		return defaultMessageBytes
	case n < minMessageBytes:
		p.add("max_message_bytes", "%d, but at least %d are needed", n, minMessageBytes)
	}
	return int(n)
}

func consumerName(p *problems, field, s string) {
	atMost(p, field, s, maxConsumerName)
	if strings.ContainsFunc(s, unicode.IsControl) {
		p.add(field, "must not hold control characters")
	}
}

// send is the stream's only writer. It ends when the member does, once the
// daemon drains and all is settled, or with the stream.
func (c *consumer) send() error {
	out := newHeartbeatSender(c.stream)
	defer out.due.Stop()
	if err := out.send(c.ready()); err != nil {
		return err
	}
	leave, ending := (<-chan struct{})(c.leave), c.events.ending
	closing := false
	batch := batch{events: c.events, decode: c.decode, include: c.sub.IncludeConnection, view: c.sub.View, most: c.maxMessageBytes}
	for {
		runtime.Gosched() // those that have more to be sent come first: one message of many costs less
		more, err := batch.fill(c.subscription)
		if m := batch.take(); m != nil {
			if err := out.send(m); err != nil {
				return err
			}
		}
		if batch.over != nil {
			continue // it counts as delivered: it goes before any word that it is taken back, or the last
		}
		if told, err := c.tellCancelled(out, &batch); err != nil {
			return err
		} else if told {
			more = true
		}
		if told, err := c.tellHandover(out); err != nil {
			return err
		} else if told {
			more = true
		}
		if told, err := c.tellPublished(out); err != nil {
			return err
		} else if told {
			more = true
		}
		switch {
		case errors.Is(err, dispatch.ErrClosed):
			return c.flush()
		case errors.Is(err, dispatch.ErrDrained):
			if closing {
				return ErrClosing
			}
		case err != nil:
			return consumerError(err)
		}
		// The rest has its turn after each batch, so that a busy stream does
		// not starve it, and is waited for without one.
		var drain bool
		turn := always
		if !more {
			turn = c.subscription.News()
		}
		select {
		case <-turn:
		case m := <-c.rejected:
			// What is rejected for having been taken back was told before.
			if _, err := c.tellCancelled(out, &batch); err != nil {
				return err
			}
			if err := out.send(m); err != nil {
				return err
			}
		case <-out.due.C:
			if err := out.send(heartbeat); err != nil {
				return err
			}
		case <-leave:
			leave, drain = nil, true
		case <-ending:
			ending, drain, closing = nil, true, true
		case <-c.subscription.Done():
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
		if drain {
			c.subscription.Drain() // before it is said: nothing may follow
			if err := out.send(drained); err != nil {
				return err
			}
		}
	}
}

// tellCancelled sends what was taken back of what b brought, if there is any.
func (c *consumer) tellCancelled(out heartbeatSender[fanoutv1.ConsumeResponse], b *batch) (told bool, err error) {
	taken, ok := c.subscription.Cancelled()
	if !ok {
		return false, nil
	}
	taken.IDs = b.sent(taken.IDs)
	for _, m := range cancelled(taken) {
		if err := out.send(m); err != nil {
			return false, err
		}
	}
	return true, nil
}

// always never makes anybody wait.
var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// drained is the same for everybody, and read only.
var drained = &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Draining_{Draining: &fanoutv1.ConsumeResponse_Draining{}}}

// heartbeat is the same for everybody, and read only.
var heartbeat = &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Heartbeat_{Heartbeat: &fanoutv1.ConsumeResponse_Heartbeat{}}}

func (c *consumer) ready() *fanoutv1.ConsumeResponse {
	return &fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Ready_{Ready: &fanoutv1.ConsumeResponse_Ready{
		Group: c.sub.Group, ConsumerId: c.sub.ConsumerID, Node: c.events.node, MaxInFlight: count(c.sub.MaxInFlight),
	}}}
}

// flush sends the rejections that are left; the receiver has ended.
func (c *consumer) flush() error {
	for {
		select {
		case m := <-c.rejected:
			if err := c.stream.Send(m); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
