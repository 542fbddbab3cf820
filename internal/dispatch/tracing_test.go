package dispatch

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/fanoutd/fanoutd/internal/publish"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// A browser's event is a span, and each of its deliveries that is settled one below it.
func TestTracesOfEvents(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	inBubble(t, Options{Tracer: provider.Tracer(tracing.Scope)}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, id := w.connect("")
		c.Say(`42["n",1]`)
		d := m.expect(t, "message / n[1]")[0]
		ok(t, m.Nack(d.ID(), 0))
		time.Sleep(100 * time.Millisecond)
		again := m.expect(t, "message / n[1] attempt 2")[0]
		if again.Event.Traceparent != d.Event.Traceparent {
			t.Errorf("the second attempt is of %q, the first of %q", again.Event.Traceparent, d.Event.Traceparent)
		}
		time.Sleep(time.Second)
		ok(t, m.Ack(d.ID()))
		c.Close()

		all := spans.GetSpans()
		var names []string
		for _, s := range all {
			names = append(names, s.Name)
		}
		if !slices.Equal(names, []string{"event", "delivery", "delivery"}) {
			t.Fatalf("spans: %q", names)
		}
		root := all[0].SpanContext
		expect(t, "traceparent", d.Event.Traceparent, fmt.Sprintf("00-%s-%s-01", root.TraceID(), root.SpanID()))
		expect(t, "connection", value(all[0], "fanoutd.connection"), id)
		expect(t, "event", value(all[0], "fanoutd.event"), "n")
		for i, outcome := range []string{"refused", "acknowledged"} {
			s := all[i+1]
			expect(t, "trace of the delivery", s.SpanContext.TraceID(), root.TraceID())
			expect(t, "parent of the delivery", s.Parent.SpanID(), root.SpanID())
			expect(t, "outcome", value(s, "fanoutd.outcome"), outcome)
			expect(t, "attempt", value(s, "fanoutd.attempt"), fmt.Sprint(i+1))
			expect(t, "delivery", value(s, "fanoutd.delivery"), d.ID())
		}
		expect(t, "how long the delivery took", all[2].EndTime.Sub(all[2].StartTime).Round(time.Millisecond), time.Second)
	})
}

// A message between backends that belongs to a trace has a span for each consumer that has it,
// or has answered it.
func TestTracesOfPublished(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	const sampled, not = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	inBubble(t, Options{Tracer: provider.Tracer(tracing.Scope)}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{ConsumerID: "a", Topics: []string{"t"}})
		for _, r := range []publish.Request{
			{Message: publish.Message{Topic: "t"}},
			{Message: publish.Message{Topic: "t", Traceparent: not}},
			{Message: publish.Message{Topic: "t", Traceparent: sampled}},
			{Message: publish.Message{Topic: "t", Traceparent: sampled}, Timeout: time.Minute},
		} {
			_, _, stop := w.Topics().Deliver(&r, func(publish.Outcome) {})
			defer stop()
		}
		time.Sleep(time.Second)
		var traceparents []string
		for d, more := m.Published(); more; d, more = m.Published() {
			traceparents = append(traceparents, d.Traceparent)
			if d.AnswerAwaited {
				time.Sleep(time.Second)
				ok(t, m.Answer(d.ID, nil, nil))
			}
		}
		if !slices.Equal(traceparents, []string{"", not, sampled, sampled}) {
			t.Errorf("told of %q", traceparents)
		}
		all := spans.GetSpans()
		expect(t, "spans", len(all), 2)
		for i, outcome := range []string{"sent", "answered"} {
			s := all[i]
			expect(t, "name", s.Name, "delivery")
			expect(t, "parent", s.Parent.SpanID().String(), "b7ad6b7169203331")
			expect(t, "outcome", value(s, "fanoutd.outcome"), outcome)
			expect(t, "topic", value(s, "fanoutd.topic"), "t")
			expect(t, "consumer", value(s, "fanoutd.consumer"), "a")
			expect(t, "how long it took", s.EndTime.Sub(s.StartTime).Round(time.Millisecond), time.Duration(i+1)*time.Second)
		}
	})
}

func value(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if a.Key == attribute.Key(key) {
			return a.Value.String()
		}
	}
	return ""
}

// Where nobody traces, an event carries nothing of it, and it costs no memory.
func TestNoTraces(t *testing.T) {
	d := New(Options{})
	e := &Event{Namespace: "/", Name: "n", ConnectionID: "a"}
	queued := 0
	publish := func() { queued++ }
	if n := testing.AllocsPerRun(100, func() { d.traced(e, publish) }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
	if queued != 101 || e.Traceparent != "" {
		t.Errorf("queued %d times, traceparent %q", queued, e.Traceparent)
	}
}

// unsampled makes spans of which none is sampled.
func unsampled() trace.Tracer {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample()))).Tracer(tracing.Scope)
}

// An event that is not sampled says so to backends, and costs little of what a span does.
func TestUnsampledEvents(t *testing.T) {
	inBubble(t, Options{Tracer: unsampled()}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		c.Say(`42["n",1]`)
		d := m.expect(t, "message / n[1]")[0]
		if p := d.Event.Traceparent; len(p) != 55 || p[53:] != "00" {
			t.Errorf("traceparent %q", p)
		}
		q := m.group.queues[d.Event.ConnectionID]
		if f := q.deliveryLocked(&q.items[0]); f != nil {
			t.Errorf("its delivery is traced: %+v", f)
		}
		ok(t, m.Ack(d.ID()))
		c.Close()
	})
}

// What an event costs that is traced and not sampled.
func BenchmarkUnsampledEvent(b *testing.B) {
	d := New(Options{Tracer: unsampled()})
	g := &group{dispatcher: d}
	s, q := &Subscription{group: g}, &queue{group: g}
	it := item{event: &Event{Namespace: "/", Name: "n", ConnectionID: "a"}, attempt: 1, consumer: "c"}
	for b.Loop() {
		d.traced(it.event, func() {})
		s.traceDelivery(q.deliveryLocked(&it), "acknowledged")
	}
}
