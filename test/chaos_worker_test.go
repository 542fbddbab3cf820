package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	// chaosAckWait is the shortest that there is.
	chaosAckWait = time.Second
	// chaosTurn is how long a worker has deliveries before it settles them.
	chaosTurn = 10 * time.Millisecond
	// chaosNacks is of how many events one is given back.
	chaosNacks = 150
	poison     = `"poison"` // in the arguments: it is always given back
)

// chaosWorker is a member of a group, without a library that would mend anything.
type chaosWorker struct {
	id     string
	record *chaosRecord
	stream grpc.BidiStreamingClient[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse]
	cancel context.CancelFunc
	ended  chan struct{} // closed when the stream has ended
	idle   chan struct{} // closed when it settles nothing any more

	// Guarded by record.mu.
	dead        bool // what comes now reaches nobody
	lastRead    time.Time
	unconfirmed []chaosAck // in the order of their sending

	mu       sync.Mutex
	pending  []*fanoutv1.Event // in the order of their coming
	nacks    map[string]int    // by delivery: those that are not known to be rejected
	asleep   time.Time         // until then it settles nothing
	deaf     time.Time         // until then it reads nothing
	sending  sync.Mutex        // of the stream
	draining bool              // nothing more will come
}

// chaosAck is the ack of one delivery that the daemon may not have read yet.
type chaosAck struct {
	event *fanoutv1.Event
	batch string // the delivery that there is not, which is acked last
}

// startChaosWorker joins the group. Without events it wants everything; otherwise
// those, and no lifecycle.
func startChaosWorker(ctx context.Context, g *chaosGroup, id string, events []string) (*chaosWorker, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := fanoutv1.NewEventServiceClient(g.control).Consume(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &chaosWorker{
		id: id, record: g.record, stream: stream, cancel: cancel,
		ended: make(chan struct{}), idle: make(chan struct{}), nacks: map[string]int{},
	}
	w.send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: &fanoutv1.ConsumeRequest_Open{
		Group: w.record.group, ConsumerId: id, Namespaces: g.namespaces, Events: events, Lifecycle: len(events) == 0, MaxInFlight: 200,
		AckWait: durationpb.New(chaosAckWait),
	}}})
	if _, err := stream.Recv(); err != nil { // ready
		cancel()
		return nil, err
	}
	g.working.Go(w.read)
	g.working.Go(w.settle)
	return w, nil
}

// send says something; an error means that the stream has ended, of which read hears.
func (w *chaosWorker) send(m *fanoutv1.ConsumeRequest) {
	w.sending.Lock()
	defer w.sending.Unlock()
	_ = w.stream.Send(m)
}

func (w *chaosWorker) read() {
	defer close(w.ended)
	defer w.record.kill(w)
	defer w.cancel()
	known := map[string]*fanoutv1.Event{} // that were settled, and may be rejected
	for {
		w.mu.Lock()
		pause := time.Until(w.deaf)
		w.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-w.stream.Context().Done():
		}
		m, err := w.stream.Recv()
		if err != nil {
			return
		}
		w.record.heard(w)
		for _, e := range m.GetEvents().GetEvents() {
			if !w.record.deliver(w, e) {
				return
			}
			known[e.GetDeliveryId()] = e
			w.mu.Lock()
			w.forget(e.GetDeliveryId())
			w.pending = append(w.pending, e)
			w.mu.Unlock()
		}
		if id := m.GetRejected().GetDeliveryId(); id != "" && known[id] == nil {
			w.record.confirmed(w, id)
		}
		if e := known[m.GetRejected().GetDeliveryId()]; e != nil && !w.wasNack(e.GetDeliveryId()) {
			w.record.rejected(w, e)
		}
		for _, id := range m.GetCancelled().GetDeliveryIds() {
			w.mu.Lock()
			w.forget(id)
			w.mu.Unlock()
		}
		if m.GetDraining() != nil {
			w.mu.Lock()
			w.draining = true
			w.mu.Unlock()
		}
	}
}

// wasNack reports whether it may be a nack that is rejected, and not an ack: a
// rejection does not tell, and may come after the event has come again.
func (w *chaosWorker) wasNack(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.nacks[id] == 0 {
		return false
	}
	w.nacks[id]--
	return true
}

// forget takes a delivery off those that are to be settled. The caller holds mu.
func (w *chaosWorker) forget(id string) {
	w.pending = slices.DeleteFunc(w.pending, func(e *fanoutv1.Event) bool { return e.GetDeliveryId() == id })
}

// settle settles what has come, now and then, until the stream ends.
func (w *chaosWorker) settle() {
	defer close(w.idle)
	tick := time.NewTicker(chaosTurn)
	defer tick.Stop()
	for batch := 1; ; batch++ {
		select {
		case <-tick.C:
		case <-w.ended:
			return
		}
		w.mu.Lock()
		if time.Now().Before(w.asleep) {
			w.mu.Unlock()
			continue
		}
		pending, done := w.pending, w.draining
		w.pending = nil
		w.mu.Unlock()
		w.settleAll(pending, fmt.Sprint("batch ", batch))
		if done {
			w.sending.Lock()
			_ = w.stream.CloseSend() // an error means that it has ended
			w.sending.Unlock()
			return
		}
	}
}

// settleAll acks most of it in one go, and in any order; it gives back some, with
// what follows them. What it acks last is no delivery: the daemon rejects that,
// and so confirms that it has read all before.
func (w *chaosWorker) settleAll(pending []*fanoutv1.Event, batch string) {
	ack := &fanoutv1.ConsumeRequest_Ack{}
	var nacks []*fanoutv1.Event
	back := map[string]bool{} // connections
	for _, e := range pending {
		switch bad := strings.Contains(e.GetArgsJson(), poison); {
		case back[e.GetConnectionId()]: // comes again, behind what is given back
		case bad || e.GetKind() == fanoutv1.Event_MESSAGE && rand.IntN(chaosNacks) == 0:
			back[e.GetConnectionId()] = true
			nacks = append(nacks, e)
		case !w.record.acked(w, e, batch):
			return
		default:
			ack.DeliveryIds = append(ack.DeliveryIds, e.GetDeliveryId())
		}
	}
	rand.Shuffle(len(ack.DeliveryIds), func(i, j int) {
		ack.DeliveryIds[i], ack.DeliveryIds[j] = ack.DeliveryIds[j], ack.DeliveryIds[i]
	})
	if len(ack.DeliveryIds) > 0 {
		ack.DeliveryIds = append(ack.DeliveryIds, batch)
		w.send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{Ack: ack}})
	}
	for _, e := range nacks {
		w.mu.Lock()
		w.nacks[e.GetDeliveryId()]++
		w.mu.Unlock()
		w.record.nacked(w, e)
		w.send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Nack_{Nack: &fanoutv1.ConsumeRequest_Nack{
			DeliveryIds: []string{e.GetDeliveryId()}, Delay: durationpb.New(chaosTurn),
		}}})
	}
}

// hang has it settle nothing for a while, stopReading read nothing.
func (w *chaosWorker) hang(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asleep = time.Now().Add(d)
}

func (w *chaosWorker) stopReading(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asleep = time.Now().Add(d)
	w.deaf = w.asleep
}

// crash cuts the stream, and waits until the worker does nothing any more.
func (w *chaosWorker) crash() {
	w.record.kill(w)
	w.cancel()
	<-w.ended
	<-w.idle
}

// leave says goodbye; the stream ends when everything is settled.
func (w *chaosWorker) leave() {
	w.send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Leave_{Leave: &fanoutv1.ConsumeRequest_Leave{}}})
}

// gone reports whether its stream has ended.
func (w *chaosWorker) gone() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}
