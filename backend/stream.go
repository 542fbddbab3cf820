package backend

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// openTimeout bounds the wait for the daemon's first word.
const openTimeout = 15 * time.Second

// maxAcks bounds the deliveries that one message settles.
const maxAcks = 1000

// maxReplyBytes bounds the replies that are gathered in one message: far below what the
// daemon takes, and beyond it gathering saves nothing.
const maxReplyBytes = 64 << 10

// stream is one Consume call. One goroutine receives; another, its own, sends
// what settle has queued, everything that waits at once. What is queued is
// bounded by the deliveries in flight.
type stream struct {
	grpc   grpc.BidiStreamingClient[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse]
	cancel context.CancelFunc
	first  *time.Timer // cancels a stream that stays silent
	sender sync.WaitGroup
	news   chan struct{} // holds one: the sender is to look again

	mu       sync.Mutex
	acks     []string                   // delivery ids
	others   []*fanoutv1.ConsumeRequest // nacks, replies, verdicts, leave
	inFlight int                        // received, and not settled or dropped
	leaving  bool                       // leave was said
	drained  bool                       // no event comes any more
	ended    bool                       // nothing can be settled by it any more
}

func openStream(ctx context.Context, events fanoutv1.EventServiceClient, open *fanoutv1.ConsumeRequest) (*stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	g, err := events.Consume(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &stream{grpc: g, cancel: cancel, news: make(chan struct{}, 1)}
	s.others = append(s.others, open)
	s.first = time.AfterFunc(openTimeout, cancel)
	s.wake()
	s.sender.Go(func() { s.send(ctx) })
	return s, nil
}

// close ends the stream, whatever became of it, and waits for its goroutine.
func (s *stream) close() {
	s.first.Stop()
	s.cancel()
	s.sender.Wait()
}

func (s *stream) receive() (*fanoutv1.ConsumeResponse, error) {
	res, err := s.grpc.Recv()
	s.first.Stop()
	return res, err
}

// received counts a delivery in.
func (s *stream) received() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
}

// abandon counts deliveries out that are not to be settled, since they will
// come again.
func (s *stream) abandon(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight -= n
	s.wake()
}

// settle queues what becomes of a delivery and counts it out.
func (s *stream) settle(o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	if !s.ended {
		s.queueLocked(o)
	}
}

// amend queues what becomes of a delivery that was settled in a way that the
// daemon did not take.
func (s *stream) amend(o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queueLocked(o)
}

func (s *stream) queueLocked(o outcome) {
	if o.request == nil {
		s.acks = append(s.acks, o.id)
	} else {
		s.others = append(s.others, o.request)
	}
	s.wake()
}

// tell queues what settles nothing.
func (s *stream) tell(r *fanoutv1.ConsumeRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.others = append(s.others, r)
		s.wake()
	}
}

// working asks for more time for deliveries.
func (s *stream) working(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ids := range slices.Chunk(ids, maxAcks) {
		s.others = append(s.others, &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Working_{
			Working: &fanoutv1.ConsumeRequest_Working{DeliveryIds: ids},
		}})
	}
	s.wake()
}

// leave asks for no more events.
func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	s.others = append(s.others, &fanoutv1.ConsumeRequest{
		Request: &fanoutv1.ConsumeRequest_Leave_{Leave: &fanoutv1.ConsumeRequest_Leave{}},
	})
	s.wake()
}

// draining notes that no more events come.
func (s *stream) draining() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = true
	s.wake()
}

// end notes that the stream has ended.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

func (s *stream) hasEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *stream) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// take returns what is to be sent. done: nothing comes after it, because all
// has been settled on a stream that was left.
func (s *stream) take() (acks []string, others []*fanoutv1.ConsumeRequest, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	acks, others = s.acks, s.others
	s.acks, s.others = nil, nil
	return acks, others, s.leaving && s.drained && s.inFlight == 0
}

// send is the sender. Its errors are those that receive tells of.
func (s *stream) send(ctx context.Context) {
	for {
		select {
		case <-s.news:
		case <-ctx.Done():
			return
		}
		runtime.Gosched() // handlers that are about to end come first: one message of many costs less
		acks, others, done := s.take()
		for len(others) > 0 {
			r, n := gather(others)
			if s.grpc.Send(r) != nil {
				return
			}
			others = others[n:]
		}
		for len(acks) > 0 {
			n := min(len(acks), maxAcks)
			if s.grpc.Send(ack(acks[:n]...)) != nil {
				return
			}
			acks = acks[n:]
		}
		if done {
			_ = s.grpc.CloseSend() // never fails
			return
		}
	}
}

// gather returns the first n of the requests as one: replies that follow each other are one
// message.
func gather(all []*fanoutv1.ConsumeRequest) (_ *fanoutv1.ConsumeRequest, n int) {
	var replies []*fanoutv1.ReplyRequest
	for bytes := 0; n < min(len(all), maxAcks); n++ {
		r := all[n].GetReply()
		if bytes += replySize(r); r == nil || n > 0 && bytes > maxReplyBytes {
			break
		}
		replies = append(replies, r)
	}
	if n < 2 {
		return all[0], 1
	}
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Replies_{
		Replies: &fanoutv1.ConsumeRequest_Replies{Replies: replies},
	}}, n
}

// replySize is what a reply takes in a message, near enough.
func replySize(r *fanoutv1.ReplyRequest) int {
	n := 64 + len(r.GetArgsJson())
	for _, a := range r.GetAttachments() {
		n += len(a)
	}
	return n
}

func ack(ids ...string) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{
		Ack: &fanoutv1.ConsumeRequest_Ack{DeliveryIds: ids},
	}}
}
