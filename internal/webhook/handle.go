package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// operationsTime bounds what answers ask for, all operations of one together.
const operationsTime = 10 * time.Second

// handle brings one event to the endpoint and settles it by the answer.
func (m *member) handle(ctx context.Context, s *stream, e *fanoutv1.Event) {
	began := time.Now()
	m.counts.inFlight.Add(1)
	ctx, end := m.traced(ctx, e)
	a, err := guarded(func() (answer, error) { return m.ask(ctx, e) })
	end(err)
	m.logPanic(err)
	m.counts.inFlight.Add(-1)
	m.counts.duration.Observe(time.Since(began))
	if err == nil && ctx.Err() == nil {
		err = m.operate(ctx, e.GetDeliveryId(), a.operations)
	}
	if ctx.Err() != nil {
		m.counts.outcomes.Add(cancelled, 1)
		return // it is not this member's any more
	}
	if err != nil {
		m.giveBack(s, e, err)
		return
	}
	m.settled.Add(1)
	m.failures.Remove(e.GetDeliveryId())
	m.counts.outcomes.Add(handled, 1)
	s.say(settlement(e, &a))
}

// ask sends the request and reads the answer.
func (m *member) ask(ctx context.Context, e *fanoutv1.Event) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.endpoint.Timeout)
	defer cancel()
	var connected atomic.Bool
	request, err := m.endpoint.newRequest(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) }, // again, where net/http repeats the request
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}), m.server.options.Node, e)
	if err != nil {
		return a, err
	}
	response, err := m.client.Do(request)
	if err != nil && !connected.Load() {
		err = &unreachableError{err}
	}
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection may be used again
		return a, &statusError{response.StatusCode, retryAfter(response.Header)}
	}
	if a, err = readAnswer(response.Body); err != nil {
		return a, err
	}
	return a, a.fits(e)
}

// fits returns what is wrong with an answer to e.
func (a *answer) fits(e *fanoutv1.Event) error {
	decides, asked := a.allow != nil || a.refuse != nil, e.GetKind() == fanoutv1.Event_CONNECTING
	switch {
	case asked && !decides:
		return badAnswer("does not decide, by allow or refuse, who may connect")
	case !asked && decides:
		return badAnswer("decides, by allow or refuse, what was not asked")
	case a.reply != nil && e.GetKind() != fanoutv1.Event_MESSAGE:
		return badAnswer("replies where nothing was said")
	case len(a.operations.GetOperations()) > maxOperations:
		return badAnswer("asks for more than %d operations", maxOperations)
	}
	return nil
}

// settlement is what is said about an event that was handled.
func settlement(e *fanoutv1.Event, a *answer) *fanoutv1.ConsumeRequest {
	id := e.GetDeliveryId()
	switch {
	case a.allow != nil:
		return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Verdict_{Verdict: &fanoutv1.ConsumeRequest_Verdict{
			DeliveryId: id, Decision: &fanoutv1.ConsumeRequest_Verdict_Allow_{Allow: a.allow},
		}}}
	case a.refuse != nil:
		return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Verdict_{Verdict: &fanoutv1.ConsumeRequest_Verdict{
			DeliveryId: id, Decision: &fanoutv1.ConsumeRequest_Verdict_Refuse_{Refuse: a.refuse},
		}}}
	case a.reply != nil && e.GetReplyExpected():
		a.reply.DeliveryId = id
		return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Reply{Reply: a.reply}}
	}
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{Ack: &fanoutv1.ConsumeRequest_Ack{DeliveryIds: []string{id}}}}
}

// giveBack gives back an event that was not handled.
func (m *member) giveBack(s *stream, e *fanoutv1.Event, err error) {
	id := e.GetDeliveryId()
	nack := &fanoutv1.ConsumeRequest_Nack{DeliveryIds: []string{id}, Reason: fanoutv1.ConsumeRequest_Nack_FAILED}
	outcome := failed
	switch by := blameFor(err); {
	case by == forever:
		nack.Reason, outcome = fanoutv1.ConsumeRequest_Nack_REJECTED, rejected
	case by == endpoint, by == uncertain && !m.handledSince(id):
		nack.Reason, outcome = fanoutv1.ConsumeRequest_Nack_UNAVAILABLE, unavailable
	}
	delay := pause(e.GetAttempt())
	if told := (*statusError)(nil); errors.As(err, &told) && told.after > 0 {
		delay = told.after
	}
	nack.Delay = durationpb.New(delay)
	m.counts.outcomes.Add(outcome, 1)
	if n, ok := m.problems.Event(); ok {
		m.log.Warn("a webhook did not handle an event", "delivery", id, "event", e.GetEvent(), "attempt", e.GetAttempt(),
			"outcome", outcome, "delay", delay.Round(time.Millisecond).String(), "error", plain(err), "requests", n)
	}
	s.say(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Nack_{Nack: nack}})
}

// plain is err without the URL, which may hold a secret.
func plain(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// handledSince reports whether the endpoint has handled others since this event failed
// before: then it is the event that it cannot handle.
func (m *member) handledSince(id string) bool {
	now := m.settled.Load()
	before, ok := m.failures.Peek(id)
	m.failures.Add(id, now)
	return ok && now > before
}

// operate carries out what an answer asks for, as the same at every attempt. Its error is
// that some could not be done now, and may be later; then the event is to come again.
func (m *member) operate(ctx context.Context, id string, batch *fanoutv1.BatchRequest) error {
	if len(batch.GetOperations()) == 0 {
		return nil
	}
	for i, op := range batch.GetOperations() {
		if emit := op.GetEmit(); emit != nil && emit.GetIdempotencyKey() == "" {
			emit.IdempotencyKey = fmt.Sprint(id, "/", i)
		}
		if publish := op.GetPublish(); publish != nil && publish.GetIdempotencyKey() == "" && publish.GetTimeout() == nil {
			publish.IdempotencyKey = fmt.Sprint(id, "/", i)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, operationsTime)
	defer cancel()
	m.counts.operations.Add(uint64(len(batch.GetOperations())))
	response, err := guarded(func() (*fanoutv1.BatchResponse, error) { return m.server.options.Operations.Batch(ctx, batch) })
	m.logPanic(err)
	if err != nil {
		m.operationFailed(uint64(len(batch.GetOperations())), id, 0, err.Error())
		return undone(0, status.Code(err), err.Error())
	}
	for i, r := range response.GetResults() {
		code, message := codes.Code(r.GetStatus().GetCode()), r.GetStatus().GetMessage() //nolint:gosec // one of a few
		if code == codes.OK {
			continue
		}
		m.operationFailed(1, id, i, message)
		if err == nil {
			err = undone(i, code, message)
		}
	}
	return err
}

// undone returns why an operation is to be done again, nil if that is of no use.
func undone(i int, code codes.Code, message string) error {
	if code == codes.Unavailable || code == codes.DeadlineExceeded {
		return &undoneError{i, code, message}
	}
	return nil
}

// operationFailed counts and logs operations that failed, this one at first.
func (m *member) operationFailed(n uint64, id string, i int, message string) {
	m.counts.operationsFailed.Add(n)
	if times, ok := m.operationProblems.Event(); ok {
		m.log.Warn("an operation of a webhook's answer failed", "delivery", id, "operation", i, "error", message, "times", times)
	}
}

// rejected takes it that what the member said about a delivery is not done. What could
// not be understood has settled nothing: the event failed.
func (m *member) rejected(s *stream, r *fanoutv1.ConsumeResponse_Rejected) {
	if codes.Code(r.GetStatus().GetCode()) != codes.InvalidArgument { //nolint:gosec // one of a few
		return // it was taken back meanwhile, or nobody waits for the reply any more
	}
	if n, ok := m.problems.Event(); ok {
		m.log.Warn("the answer of a webhook is not valid", "delivery", r.GetDeliveryId(), "error", r.GetStatus().GetMessage(), "requests", n)
	}
	s.say(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Nack_{Nack: &fanoutv1.ConsumeRequest_Nack{
		DeliveryIds: []string{r.GetDeliveryId()}, Delay: durationpb.New(pause(1)),
	}}})
}
