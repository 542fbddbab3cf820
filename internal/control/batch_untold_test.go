package control

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/publish"
)

// racedSubscription takes its deliveries back before those too large for the consumer's
// messages are buried: as when what another node says comes just then.
type racedSubscription struct {
	Subscription
	waits []dispatch.Delivery
	taken []string
	told  bool // that they were taken back
}

func (s *racedSubscription) Poll() (d dispatch.Delivery, ok bool, err error) {
	switch {
	case len(s.taken) > 0 && !s.told:
		return d, false, nil
	case len(s.waits) == 0:
		return d, false, dispatch.ErrClosed
	}
	d, s.waits = s.waits[0], s.waits[1:]
	return d, true, nil
}

func (*racedSubscription) Handover() (h dispatch.Handover, told bool) { return h, false }
func (*racedSubscription) Published() (p publish.Delivery, ok bool)   { return p, false }

func (s *racedSubscription) BuryTooLarge(id string) error {
	if s.told {
		return nil
	}
	s.taken = append(s.taken, id)
	return dispatch.ErrNotInFlight
}

func (s *racedSubscription) Cancelled() (dispatch.Cancelled, bool) {
	if len(s.taken) == 0 || s.told {
		return dispatch.Cancelled{}, false
	}
	s.told = true
	return dispatch.Cancelled{IDs: slices.Clone(s.taken), Reason: dispatch.GivenBack}, true
}

func (s *racedSubscription) News() <-chan struct{} { return always }
func (s *racedSubscription) Done() <-chan struct{} { return nil }

// sentStream keeps what is sent.
type sentStream struct {
	grpc.BidiStreamingServer[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse]
	sent []string
}

func (s *sentStream) Send(m *fanoutv1.ConsumeResponse) error {
	switch body := m.GetResponse().(type) {
	case *fanoutv1.ConsumeResponse_Events_:
		for _, e := range body.Events.GetEvents() {
			s.sent = append(s.sent, e.GetDeliveryId())
		}
	case *fanoutv1.ConsumeResponse_Cancelled_:
		s.sent = append(s.sent, "cancelled "+strings.Join(body.Cancelled.GetDeliveryIds(), " "))
	}
	return nil
}

// A consumer is told that deliveries were taken back which it was sent, and of no others.
func TestCancelledWasSent(t *testing.T) {
	event := func(sequence uint64, size int) dispatch.Delivery {
		return dispatch.Delivery{Attempt: 1, Event: &dispatch.Event{
			Kind: dispatch.Message, Namespace: "/", ConnectionID: "c", Sequence: sequence, Args: `["` + strings.Repeat("x", size) + `"]`, ReceivedAt: time.Now(),
		}}
	}
	small, large, after := event(1, 1), event(2, minMessageBytes), event(3, 1)
	// The large one is taken back, and comes again.
	s := &racedSubscription{waits: []dispatch.Delivery{small, large, large, after}}
	out := &sentStream{}
	c := &consumer{
		events: &Events{errors: &ErrorReporter{}}, ctx: context.Background(), subscription: s, stream: out, maxMessageBytes: minMessageBytes,
		rejected: make(chan *fanoutv1.ConsumeResponse), leave: make(chan struct{}),
	}
	if err := c.send(); err != nil {
		t.Fatal(err)
	}
	if want := []string{small.ID(), after.ID()}; !slices.Equal(out.sent, want) {
		t.Errorf("sent %q, want %q", out.sent, want)
	}
	// What was sent is told as ever, whatever was left out before.
	var b batch
	b.leaveOut("left out")
	b.leaveOut("sent later")
	b.add(&fanoutv1.Event{DeliveryId: "sent later"}, 20)
	if got, want := b.sent([]string{"sent", "left out", "sent later"}), []string{"sent", "sent later"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if got, want := b.sent([]string{"left out"}), []string{"left out"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}
