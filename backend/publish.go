package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Message is what another backend has published.
type Message struct {
	Topic string
	Args  Args

	// ReplyExpected says that the publisher waits for an answer.
	ReplyExpected bool

	id string
}

// MessageHandler handles a message. If the publisher waits for an answer it gets the
// Reply, unless there is an error, which is logged.
type MessageHandler func(ctx context.Context, m *Message) (Reply, error)

// maxMessages bounds the messages of one topic that wait for their handler.
const maxMessages = 1000

// OnPublished registers the handler for messages of one topic, which come to every member
// of the group that has one; see [Client.Publish]. It handles them one at a time, in order. A
// message comes at most once: it is lost with its stream, and when 1000 of its topic wait.
// A consumer that has no other handlers hears nothing of browsers. OnPublished panics on a
// topic that has a handler.
func (c *Consumer) OnPublished(topic string, h MessageHandler) {
	if c.topics[topic] != nil {
		panic(fmt.Sprintf("backend: there is a handler for the topic %q already", topic))
	}
	c.topics[topic] = h
}

// Publish hands a message to consumers of any backend that ask for its topic: to all
// members of one group, or of every group, at most once each. With a Timeout it returns
// when they have answered, and says who has not. For the arguments see [NewEmit].
func (c *Client) Publish(ctx context.Context, req *fanoutv1.PublishRequest, args ...any) (*fanoutv1.PublishResponse, error) {
	res, err := c.publish(ctx, req, args)
	if err != nil {
		return nil, fmt.Errorf("backend: publishing %q: %w", req.GetTopic(), err)
	}
	return res, nil
}

func (c *Client) publish(ctx context.Context, req *fanoutv1.PublishRequest, args []any) (_ *fanoutv1.PublishResponse, err error) {
	if len(args) > 0 {
		if req.ArgsJson, req.Attachments, err = encode(args); err != nil {
			return nil, err
		}
	}
	return c.events.Publish(ctx, req)
}

// AnswerArgs returns the arguments of one answer to a Publish.
func AnswerArgs(a *fanoutv1.PublishResponse_Answer) Args {
	return Args{text: a.GetArgsJson(), attachments: a.GetAttachments()}
}

// listens has the consumer ask for the topics that have handlers.
func (c *Consumer) listens(o *fanoutv1.ConsumeRequest_Open) {
	o.Topics = slices.Sorted(maps.Keys(c.topics))
	o.NoEvents = len(o.Topics) > 0 && len(c.handlers) == 0 && c.any == nil && len(o.Namespaces) == 0 &&
		!o.Lifecycle && !o.Authorize && !o.Assignments
}

// topicQueue is what the queue of a topic is called, as no connection is.
func topicQueue(topic string) string { return "topic " + topic }

// hear queues a message.
func (c *Consumer) hear(s *stream, qs *queues, p *fanoutv1.ConsumeResponse_Published) {
	m := &Message{
		Topic: p.GetTopic(), ReplyExpected: p.GetReplyExpected(), id: p.GetPublishId(),
		Args: Args{text: p.GetArgsJson(), attachments: p.GetAttachments()},
	}
	d := &delivery{stream: s, event: &Event{Conn: Conn{ID: topicQueue(m.Topic)}}, aside: published, message: m}
	if !qs.addUpTo(d, maxMessages) {
		c.log.Warn("a message is dropped: too many of its topic wait", "topic", m.Topic)
	}
}

// handleMessage runs the handler for a message, and answers it.
func (c *Consumer) handleMessage(ctx context.Context, s *stream, m *Message) {
	h := c.topics[m.Topic]
	if h == nil {
		return
	}
	answer, err := c.answerTo(ctx, m, h)
	var args *ArgsError
	switch {
	case errors.As(err, &args):
		c.log.Debug("a message is not what its handler expects", "topic", m.Topic, "error", err)
	case err != nil:
		c.log.Error("a handler of messages failed", "topic", m.Topic, "error", err)
	case m.ReplyExpected:
		s.tell(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Answer_{Answer: answer}})
	}
}

func (c *Consumer) answerTo(ctx context.Context, m *Message, h MessageHandler) (_ *fanoutv1.ConsumeRequest_Answer, err error) {
	defer recovered(&err)
	reply, err := h(ctx, m)
	if err != nil || !m.ReplyExpected {
		return nil, err
	}
	text, attachments, err := encode(reply)
	if err != nil {
		return nil, fmt.Errorf("the answer: %w", err)
	}
	return &fanoutv1.ConsumeRequest_Answer{PublishId: m.id, ArgsJson: text, Attachments: attachments}, nil
}
