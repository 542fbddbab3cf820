package main

import (
	"encoding/hex"
	"testing"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/metadata"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/tracing/otlp/otlptest"
)

// An emit of a backend's trace is followed to the fan-out, and a browser's event to the
// consumer that acknowledges it, whose delivery names the trace. What is left is sent
// before the daemon ends.
func TestTracesOfADaemon(t *testing.T) {
	collector := otlptest.Start(t)
	d := start(t, "--otlp-endpoint="+collector.URL, "--otlp-sample-ratio=1", "--node-name=n1")
	conn := dialControl(t, d.at["backends"])
	consume := d.consume(t, &fanoutv1.ConsumeRequest_Open{Group: "g", Topics: []string{"t"}})
	send := func(id string) {
		t.Helper()
		if err := consume.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{Ack: &fanoutv1.ConsumeRequest_Ack{DeliveryIds: []string{id}}}}); err != nil {
			t.Fatal(err)
		}
	}
	b := connect(t, d.at["browsers"])
	const trace = "0123456789abcdef0123456789abcdef"
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+trace+"-0123456789abcdef-01")
	if _, err := fanoutv1.NewEventServiceClient(conn).Publish(ctx, &fanoutv1.PublishRequest{Topic: "t", All: true}); err != nil {
		t.Fatal(err)
	}
	published, err := consume.Recv()
	if err != nil || published.GetPublished() == nil {
		t.Fatalf("got %v, %v", published, err)
	}
	if _, err := fanoutv1.NewEmitterServiceClient(conn).Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "tick"}); err != nil {
		t.Fatal(err)
	}
	b.read(t, `42["tick"]`)
	if err := b.WriteMessage(1, []byte(`42["tock"]`)); err != nil {
		t.Fatal(err)
	}
	m, err := consume.Recv()
	if err != nil || len(m.GetEvents().GetEvents()) != 1 {
		t.Fatalf("got %v, %v", m, err)
	}
	delivered := m.GetEvents().GetEvents()[0]
	send(delivered.GetDeliveryId())
	send("unknown") // it is rejected after the other was read
	if m, err := consume.Recv(); err != nil || m.GetRejected() == nil {
		t.Fatalf("got %v, %v", m, err)
	}
	d.stop()
	if code := d.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.logs)
	}

	spans := map[string]*tracev1.Span{}
	for _, s := range collector.Spans() {
		spans[s.GetName()] = s
	}
	if want := "00-" + trace + "-" + hex.EncodeToString(spans["fanout.v1.EventService/Publish"].GetSpanId()) + "-01"; published.GetPublished().GetTraceparent() != want {
		t.Errorf("the published message's traceparent is %q, want %q", published.GetPublished().GetTraceparent(), want)
	}
	call, fanOut, event, delivery := spans["fanout.v1.EmitterService/Emit"], spans["fan-out"], spans["event"], spans["delivery"]
	if call == nil || fanOut == nil || event == nil || delivery == nil {
		t.Fatalf("spans: %v", spans)
	}
	if hex.EncodeToString(call.GetTraceId()) != trace || hex.EncodeToString(fanOut.GetTraceId()) != trace || hex.EncodeToString(fanOut.GetParentSpanId()) != hex.EncodeToString(call.GetSpanId()) {
		t.Errorf("the fan-out %v is not of the call %v", fanOut, call)
	}
	if want := "00-" + hex.EncodeToString(event.GetTraceId()) + "-" + hex.EncodeToString(event.GetSpanId()) + "-01"; delivered.GetTraceparent() != want {
		t.Errorf("the event's traceparent is %q, want %q", delivered.GetTraceparent(), want)
	}
	if hex.EncodeToString(delivery.GetParentSpanId()) != hex.EncodeToString(event.GetSpanId()) {
		t.Errorf("the delivery %v is not of the event %v", delivery, event)
	}
}
