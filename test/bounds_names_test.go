package test

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// exceedRooms has a connection join as many rooms as it may, and one more.
func exceedRooms(s *siege, most int) {
	_, id := s.member()
	_, registry := dialControl(s.T, s.control)
	join := func(names ...string) error {
		_, err := registry.Join(s.ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{id}}, Rooms: names})
		return err
	}
	for i := range most - 1 { // it is in the room of its id
		if err := join(longName(i)); err != nil {
			s.Fatalf("room %d: %v", i, err)
		}
	}
	if err := join(longName(0)); err != nil {
		s.Errorf("a room that it is in: %v", err)
	}
	if err := join("one more"); status.Code(err) != codes.FailedPrecondition {
		s.Errorf("one room more: %v, want FAILED_PRECONDITION", err)
	}
}

// longName is a room's name of the largest size.
func longName(i int) string { return fmt.Sprintf("%01024d", i) }

// exceedNames names things as long as they may be, and by a byte more; and more of
// them at once than may be.
func exceedNames(s *siege) {
	_, id := s.member()
	emitter, registry := dialControl(s.T, s.control)
	one := &fanoutv1.Target{Ids: []string{id}}
	rooms := func(n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprint(i)
		}
		return all
	}
	for _, bound := range []struct {
		name string
		most int
		try  func(n int) error
	}{
		{"a room's name", 1024, func(n int) error {
			_, err := registry.Join(s.ctx, &fanoutv1.JoinRequest{To: one, Rooms: []string{strings.Repeat("x", n)}})
			return err
		}},
		{"rooms of one Join", 1000, func(n int) error {
			_, err := registry.Join(s.ctx, &fanoutv1.JoinRequest{To: one, Rooms: rooms(n)})
			return err
		}},
		{"an idempotency key", 128, func(n int) error {
			_, err := emitter.Emit(s.ctx, &fanoutv1.EmitRequest{To: one, Event: "e", IdempotencyKey: strings.Repeat("x", n)})
			return err
		}},
		{"a reason", 256, func(n int) error {
			_, err := registry.Disconnect(s.ctx, &fanoutv1.DisconnectRequest{To: &fanoutv1.Target{Users: []string{"nobody"}}, Reason: strings.Repeat("x", n)})
			return err
		}},
		{"a group's name", 128, func(n int) error { return s.subscribe(strings.Repeat("x", n), "c", "e") }},
		{"a consumer's id", 128, func(n int) error { return s.subscribe("g", strings.Repeat("x", n), "e") }},
		{"an event that is asked for", 1024, func(n int) error { return s.subscribe("g", "c", strings.Repeat("x", n)) }},
		{"events that are asked for", 1000, func(n int) error { return s.subscribe("g", "c", rooms(n)...) }},
	} {
		if err := bound.try(bound.most); err != nil {
			s.Errorf("%s of %d: %v", bound.name, bound.most, err)
		}
		if err := bound.try(bound.most + 1); status.Code(err) != codes.InvalidArgument {
			s.Errorf("%s of %d: %v, want INVALID_ARGUMENT", bound.name, bound.most+1, err)
		}
	}
	s.exceedNamespaceName(256)
}

// subscribe joins a group, leaves it, and returns why it could not join.
func (s *siege) subscribe(group, consumer string, events ...string) error {
	stream, err := fanoutv1.NewEventServiceClient(connectTo(s.T, s.control)).Consume(s.ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{
		Open: &fanoutv1.ConsumeRequest_Open{Group: group, ConsumerId: consumer, Events: events},
	}})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	return stream.CloseSend()
}

// exceedNamespaceName has a client make a namespace of a pattern with a name as long as
// it may be, and with one that is longer.
func (s *siege) exceedNamespaceName(most int) {
	w, err := s.webSocket("")
	if err != nil {
		s.Fatal(err)
	}
	defer w.Close()
	for n, want := range map[int]string{most: "40/t-", most + 1: "44/t-"} {
		name := "/t-" + strings.Repeat("x", n-len("/t-"))
		if err := w.say("40" + name + ","); err != nil {
			s.Fatal(err)
		}
		if answer, err := w.hear(); err != nil || !strings.HasPrefix(answer, want) {
			s.Errorf("a namespace's name of %d bytes was answered %.20q, %v, want %s…", n, answer, err, want)
		}
	}
}

// exceedGroups has one group more than may be, and in one of them one consumer more.
func exceedGroups(s *siege, groups int) {
	client := fanoutv1.NewEventServiceClient(connectTo(s.T, s.control))
	open := func(group, consumer string) error {
		stream, err := client.Consume(s.ctx)
		if err != nil {
			s.Fatal(err)
		}
		err = stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{
			Open: &fanoutv1.ConsumeRequest_Open{Group: group, ConsumerId: consumer},
		}})
		if err != nil {
			s.Fatal(err)
		}
		_, err = stream.Recv()
		return err // the stream lasts until the test ends
	}
	for i := range groups {
		if err := open(fmt.Sprint("g", i), "c"); err != nil {
			s.Fatalf("group %d: %v", i, err)
		}
	}
	if err := open("one more", "c"); status.Code(err) != codes.ResourceExhausted {
		s.Errorf("one group more: %v, want RESOURCE_EXHAUSTED", err)
	}
	if err := open("g0", "another"); err != nil {
		s.Errorf("one more consumer of a group that is there: %v", err)
	}
}
