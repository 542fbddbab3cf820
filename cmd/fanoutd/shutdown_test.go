package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

type consumeStream = grpc.BidiStreamingClient[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse]

// consume joins a group.
func (d *running) consume(t *testing.T, o *fanoutv1.ConsumeRequest_Open) consumeStream {
	t.Helper()
	s, err := fanoutv1.NewEventServiceClient(dialControl(t, d.at["backends"])).Consume(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: o}}); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); err != nil || m.GetReady() == nil {
		t.Fatalf("got %v, %v, want ready", m, err)
	}
	return s
}

// TestShutdownDelivers: what browsers did before a shutdown, and their ends, are
// delivered to a consumer that takes one event at a time; then its stream ends.
func TestShutdownDelivers(t *testing.T) {
	const events = 20
	d := start(t)
	k := d.consume(t, &fanoutv1.ConsumeRequest_Open{Group: "g", Lifecycle: true, MaxInFlight: 1})
	b := connect(t, d.at["browsers"])
	for i := range events {
		if err := b.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `42["n",%d]`, i)); err != nil {
			t.Fatal(err)
		}
	}
	// An answer means that everything before it was read.
	if err := b.WriteMessage(websocket.TextMessage, []byte(`40/nope,`)); err != nil {
		t.Fatal(err)
	}
	b.read(t, "44/nope")
	d.stop()
	b.end(t) // and only then does the consumer begin to settle
	var got []string
	draining := false
	for {
		m, err := k.Recv()
		if err != nil {
			if status.Code(err) != codes.Unavailable || !draining {
				t.Errorf("the stream ended with %v, draining %v", err, draining)
			}
			break
		}
		draining = draining || m.GetDraining() != nil
		for _, e := range m.GetEvents().GetEvents() {
			got = append(got, strings.TrimSpace(fmt.Sprint(e.GetKind(), " ", e.GetArgsJson(), e.GetReason())))
			ack := &fanoutv1.ConsumeRequest_Ack{DeliveryIds: []string{e.GetDeliveryId()}}
			if err := k.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{Ack: ack}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"CONNECTED"}
	for i := range events {
		want = append(want, fmt.Sprintf("MESSAGE [%d]", i))
	}
	want = append(want, "DISCONNECTED server shutting down")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("delivered %q, want %q", got, want)
	}
	if code := d.wait(t); code != exitOK || strings.Contains(d.logs.String(), "not delivered") {
		t.Errorf("exit code %d:\n%s", code, d.logs)
	}
}

// TestShutdownWaitsForNobodyElse: neither a consumer that has not joined, nor a
// browser that does not poll, holds a shutdown up for its grace period.
func TestShutdownWaitsForNobodyElse(t *testing.T) {
	d := start(t, "--grace=1h")
	silent, err := fanoutv1.NewEventServiceClient(dialControl(t, d.at["backends"])).Consume(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, open := d.get(t, "browsers", "/socket.io/?EIO=4&transport=polling"); !strings.HasPrefix(open, "0{") {
		t.Fatalf("the session was not opened: %s", open)
	}
	d.stop()
	if _, err := silent.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ended with %v, want UNAVAILABLE", err)
	}
	if code := d.wait(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, d.logs)
	}
}

// TestShutdownSaysWhatWasNotDelivered: a consumer that never settles costs the
// grace period, and what it did not get is logged.
func TestShutdownSaysWhatWasNotDelivered(t *testing.T) {
	d := start(t, "--grace=2s")
	d.consume(t, &fanoutv1.ConsumeRequest_Open{Group: "stuck"})
	b := connect(t, d.at["browsers"])
	if err := b.WriteMessage(websocket.TextMessage, []byte(`42["n"]`)); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteMessage(websocket.TextMessage, []byte(`40/nope,`)); err != nil {
		t.Fatal(err)
	}
	b.read(t, "44/nope")
	before := time.Now()
	d.stop()
	if code := d.wait(t); code != exitOK || time.Since(before) > patience/2 {
		t.Errorf("exit code %d after %v:\n%s", code, time.Since(before), d.logs)
	}
	if want := `"group":"stuck","events":1`; !strings.Contains(d.logs.String(), want) {
		t.Errorf("the log does not say %s:\n%s", want, d.logs)
	}
}
