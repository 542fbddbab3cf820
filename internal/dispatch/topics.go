package dispatch

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fanoutd/fanoutd/internal/publish"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// A consumer's place among those of its node that messages between backends are for is
// there for as long as its subscription: see package publish.

// joinTopics has a new subscription get what is published to its topics, in place of the one
// that it replaces, which is still to be ended; nil: there is none.
func (s *Subscription) joinTopics(replaced *Subscription) {
	var before *publish.Mailbox
	if replaced != nil {
		before = replaced.mailbox
	}
	if o := &s.options; len(o.Topics) > 0 && !o.Relayed {
		s.mailbox = s.group.dispatcher.topics.Join(publish.Member{Group: o.Group, ConsumerID: o.ConsumerID}, o.Topics, before, s.wake)
	}
}

// Published returns the next message that was published to the consumer's topics, false if
// there is none now: then News tells when to ask again. It is outside of what is in flight,
// and comes at most once.
func (s *Subscription) Published() (publish.Delivery, bool) { return s.mailbox.Next() }

// Answer answers a message that was published. Error: [publish.ErrNotAwaited].
func (s *Subscription) Answer(id string, args []byte, attachments [][]byte) error {
	return s.mailbox.Answer(id, args, attachments)
}

// PublishedTooLarge says that a message does not fit into the consumer's own.
func (s *Subscription) PublishedTooLarge(id string) { s.mailbox.TooLarge(id) }

// traceHanded makes the span "delivery" of a message that was published.
func (d *Dispatcher) traceHanded(h publish.Handed) {
	if !tracing.Sampled(h.Traceparent) {
		return
	}
	outcome := "sent"
	if h.Answered {
		outcome = "answered"
	}
	_, span := d.opts.Tracer.Start(tracing.WithParent(context.Background(), h.Traceparent), "delivery",
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(h.Began), trace.WithAttributes(
			attribute.String("fanoutd.group", h.Group),
			attribute.String("fanoutd.consumer", h.ConsumerID),
			attribute.String("fanoutd.topic", h.Topic),
			attribute.String("fanoutd.outcome", outcome),
		))
	span.End()
}

// Publish hands a message to this node's consumers.
func (d *Dispatcher) Publish(r *publish.Request) (*publish.Publication, error) {
	return d.topics.Publish(r)
}

// Topics are those of this node's consumers.
func (d *Dispatcher) Topics() *publish.Topics { return d.topics }
