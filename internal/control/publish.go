package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/publish"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// Bounds of messages between backends; the contract states them.
const (
	maxTopics = 1000
	maxTopic  = 256 // bytes
	// maxDecodedAnswers is how much a response may have for answers to come as values too.
	maxDecodedAnswers = 3 << 20 // bytes
)

func (e *Events) Publish(ctx context.Context, req *fanoutv1.PublishRequest) (*fanoutv1.PublishResponse, error) {
	return e.publish(ctx, req, place{}).get()
}

// published is what becomes of a Publish that has its place in the order of its caller's.
type published struct {
	response *fanoutv1.PublishResponse
	err      error
	wait     func() (*fanoutv1.PublishResponse, error) // nil: response and err are it
}

// get returns the answer, which it may have to wait for. It is to be called once.
func (p published) get() (*fanoutv1.PublishResponse, error) {
	if p.wait != nil {
		return p.wait()
	}
	return p.response, p.err
}

// result is what becomes of it as of an operation.
func (p published) result() result {
	if p.wait == nil {
		return result{done(p.err), func(applied) *fanoutv1.OperationResult { return publishResult(p.response) }}
	}
	var response *fanoutv1.PublishResponse
	wait := func() (_ applied, err error) {
		response, err = p.wait()
		return applied{}, err
	}
	return result{pending{wait: wait}, func(applied) *fanoutv1.OperationResult { return publishResult(response) }}
}

func publishResult(a *fanoutv1.PublishResponse) *fanoutv1.OperationResult {
	return &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Publish{Publish: a}}
}

// publish carries out a Publish. at is where req lies in its request.
func (e *Events) publish(ctx context.Context, req *fanoutv1.PublishRequest, at place) published {
	p := problemsAt(ctx, at)
	r := toPublish(&p, req)
	r.Traceparent = tracing.Parent(ctx)
	key := toKey(&p, req)
	if p.any() {
		return published{err: p.err()}
	}
	if key != "" {
		response, err := e.publishOnce(ctx, &p, r, key)
		return published{response: response, err: err}
	}
	publication, err := e.dispatcher.Publish(r)
	if err != nil {
		return published{err: publishError(err)}
	}
	wait := func() (*fanoutv1.PublishResponse, error) {
		result, err := publication.Wait(ctx, e.ending)
		if err != nil {
			return nil, err
		}
		return fromPublished(&result, req.GetDecode()), nil
	}
	if publication.Over() {
		response, err := wait()
		return published{response: response, err: err}
	}
	return published{wait: wait}
}

// publishOnce publishes what awaits no answers, unless it was under this key.
func (e *Events) publishOnce(ctx context.Context, p *problems, r *publish.Request, key string) (resp *fanoutv1.PublishResponse, err error) {
	of := idempotency.Key{Caller: identity.FromContext(ctx).Name, Key: key}
	res, duplicate, err := e.keys.Once(ctx, of, fingerprintOfPublish(r), func() (sio.Result, error) {
		publication, err := e.dispatcher.Publish(r)
		if err != nil {
			return sio.Result{}, err
		}
		result, err := publication.Wait(ctx, e.ending)
		if err != nil {
			return sio.Result{}, err
		}
		resp = fromPublished(&result, false)
		return sio.Result{Matched: result.Matched, Coverage: sio.Coverage{Partial: resp.GetPartial(), Unreachable: result.Unreachable}}, nil
	})
	switch {
	case errors.Is(err, idempotency.ErrOtherContent):
		return nil, invalid(p, "idempotency_key", "was used for a request with other content")
	case err != nil:
		return nil, publishError(err)
	case resp == nil || duplicate:
		resp = &fanoutv1.PublishResponse{Matched: count(res.Matched), Partial: res.Partial, Unreachable: res.Unreachable, Duplicate: duplicate}
	}
	return resp, nil
}

// publishError codes why something was not published.
func publishError(err error) error {
	if errors.Is(err, publish.ErrBusy) {
		err = sio.ErrBusy
	}
	return hubError(err, &problems{}, "")
}

// fingerprintOfPublish covers all that a publish does.
func fingerprintOfPublish(r *publish.Request) (f idempotency.Fingerprint) {
	h := sha256.New()
	hashStrings(h, "publish", r.Topic, r.Group, r.Except.Group, r.Except.ConsumerID)
	hashBytes(h, r.Args)
	hashLen(h, len(r.Attachments))
	for _, a := range r.Attachments {
		hashBytes(h, a)
	}
	h.Sum(f[:0])
	return f
}

func toPublish(p *problems, m *fanoutv1.PublishRequest) *publish.Request {
	if p.caller.Limited() {
		p.deny("") // topics are in no namespace
	}
	r := &publish.Request{Message: publish.Message{Topic: m.GetTopic(), Args: toArgs(p, m), Attachments: m.GetAttachments()}, Group: m.GetGroup()}
	topicName(p, "topic", r.Topic)
	switch {
	case m.GetAll() && r.Group != "":
		p.add("group", "give group or all, not both")
	case !m.GetAll() && r.Group == "":
		p.add("group", "must not be empty without all")
	}
	consumerName(p, "group", r.Group)
	if except := m.GetExcept(); except != nil {
		r.Except = publish.Member{Group: except.GetGroup(), ConsumerID: except.GetConsumerId()}
		if r.Except.Group == "" {
			p.add("except.group", "must not be empty")
		}
		if r.Except.ConsumerID == "" {
			p.add("except.consumer_id", "must not be empty")
		}
		consumerName(p, "except.group", r.Except.Group)
		consumerName(p, "except.consumer_id", r.Except.ConsumerID)
	}
	if m.GetTimeout() != nil {
		r.Timeout = toTimeout(p, m.GetTimeout())
		if m.GetIdempotencyKey() != "" {
			p.add("idempotency_key", "must be empty with timeout: answers cannot be given again")
		}
	}
	return r
}

// toTopics converts the field `topics` of an open, without those that are there twice.
func toTopics(p *problems, list []string) (topics []string) {
	if len(list) == 0 {
		return nil
	}
	if p.caller.Limited() {
		p.deny("topics")
	}
	if len(list) > maxTopics {
		p.add("topics", "%d entries, but at most %d are allowed", len(list), maxTopics)
		return nil
	}
	there := map[string]bool{}
	for i, name := range list {
		topicName(p, fmt.Sprintf("topics[%d]", i), name)
		if !there[name] {
			there[name] = true
			topics = append(topics, name)
		}
	}
	return topics
}

func topicName(p *problems, field, s string) {
	if s == "" {
		p.add(field, "must not be empty")
	}
	atMost(p, field, s, maxTopic)
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '*' }) {
		p.add(field, "must not hold control characters or *")
	}
}

// missingReasons are why members are missing, in the contract's words.
var missingReasons = map[publish.Reason]fanoutv1.PublishResponse_Missing_Reason{
	publish.TimedOut:      fanoutv1.PublishResponse_Missing_TIMEOUT,
	publish.Left:          fanoutv1.PublishResponse_Missing_DISCONNECTED,
	publish.Full:          fanoutv1.PublishResponse_Missing_FULL,
	publish.TooLarge:      fanoutv1.PublishResponse_Missing_TOO_LARGE,
	publish.AnswerDropped: fanoutv1.PublishResponse_Missing_ANSWER_DROPPED,
	publish.Unreachable:   fanoutv1.PublishResponse_Missing_UNREACHABLE,
}

func fromPublished(r *publish.Result, decode bool) *fanoutv1.PublishResponse {
	resp := &fanoutv1.PublishResponse{Matched: count(r.Matched), Partial: len(r.Unreachable) > 0, Unreachable: r.Unreachable}
	for _, o := range r.Outcomes {
		if o.Reason != publish.Answered {
			resp.Missing = append(resp.Missing, &fanoutv1.PublishResponse_Missing{
				Group: o.Group, ConsumerId: o.ConsumerID, Reason: missingReasons[o.Reason],
			})
			continue
		}
		resp.Answers = append(resp.Answers, &fanoutv1.PublishResponse_Answer{
			Group: o.Group, ConsumerId: o.ConsumerID, ArgsJson: arrayText(o.Args), Attachments: o.Attachments,
		})
	}
	if !decode {
		return resp
	}
	bytes := proto.Size(resp)
	for _, a := range resp.GetAnswers() {
		args := decodeArgs([]byte(a.GetArgsJson()))
		if bytes += proto.Size(&fanoutv1.PublishResponse_Answer{Args: args}); bytes > maxDecodedAnswers {
			break
		}
		a.Args = args
	}
	return resp
}

// arrayText is the text of a JSON array; none is an empty one.
func arrayText(args []byte) string {
	if len(args) == 0 {
		return "[]"
	}
	return string(args)
}

// tellPublished sends a message of another backend, if there is one.
func (c *consumer) tellPublished(out heartbeatSender[fanoutv1.ConsumeResponse]) (told bool, err error) {
	d, ok := c.subscription.Published()
	if !ok {
		return false, nil
	}
	m := &fanoutv1.ConsumeResponse_Published{
		PublishId: d.ID, Topic: d.Topic, ArgsJson: arrayText(d.Args), Attachments: d.Attachments, ReplyExpected: d.AnswerAwaited, Traceparent: d.Traceparent,
	}
	if c.decode {
		m.Args = decodeArgs([]byte(m.GetArgsJson()))
	}
	if proto.Size(m)+batchOverhead > c.maxMessageBytes {
		m.Args = nil // better the text alone than nothing
	}
	if proto.Size(m)+batchOverhead > c.maxMessageBytes {
		c.subscription.PublishedTooLarge(d.ID)
		return true, nil
	}
	return true, out.send(&fanoutv1.ConsumeResponse{Response: &fanoutv1.ConsumeResponse_Published_{Published: m}})
}

// answer answers a message of another backend.
func (c *consumer) answer(m *fanoutv1.ConsumeRequest_Answer) error {
	p := problemsOf(c.ctx, "answer")
	if m.GetPublishId() == "" {
		p.add("publish_id", "must not be empty")
	}
	args := toArgs(&p, m)
	if p.any() {
		return p.err()
	}
	return settleError(c.subscription.Answer(m.GetPublishId(), args, m.GetAttachments()), &p)
}
