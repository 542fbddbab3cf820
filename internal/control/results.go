package control

import (
	"context"
	"sync"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Bounds of what waits to be sent on one stream of Execute; the contract states them.
const (
	maxResultBacklog = 1024     // results
	maxResultBytes   = 4 << 20  // of results
	maxOutcomeBytes  = 16 << 20 // of all that waits, from which on outcomes are dropped
)

// results collects what one stream of Execute has to report. Whoever carries out commands
// adds to it; its sender takes whatever has gathered since the last time.
type results struct {
	wake chan struct{} // holds one: there is something to send

	mu       sync.Mutex
	emptied  chan struct{} // closed when something has been taken
	through  uint64
	list     []*fanoutv1.ExecuteResponse_Result
	sizes    []int // of list's
	bytes    int   // of list
	finished bool
}

func newResults() *results {
	return &results{wake: make(chan struct{}, 1), emptied: make(chan struct{})}
}

// add notes that all commands up to through have been carried out; r is the result of the
// latest, nil: none is to be sent. It blocks while too much waits, until ctx ends.
func (s *results) add(ctx context.Context, through uint64, r *fanoutv1.ExecuteResponse_Result) error {
	if err := s.lockWithRoom(ctx, r != nil); err != nil {
		return err
	}
	s.through = through
	s.putLocked(r)
	s.mu.Unlock()
	signal(s.wake)
	return nil
}

// note is add for what nothing is to be sent for: it is told with what is sent next.
func (s *results) note(through uint64) {
	s.mu.Lock()
	s.through = through
	s.mu.Unlock()
}

// room blocks while too much waits, until ctx ends.
func (s *results) room(ctx context.Context) error {
	err := s.lockWithRoom(ctx, true)
	if err == nil {
		s.mu.Unlock()
	}
	return err
}

// lockWithRoom locks, once there is room if need be. Its error is ctx's; then nothing is
// locked. Only who reads the stream waits for room, or who takes other nodes' answers.
func (s *results) lockWithRoom(ctx context.Context, need bool) error {
	s.mu.Lock()
	for need && (len(s.list) >= maxResultBacklog || s.bytes >= maxResultBytes) {
		emptied := s.emptied
		s.mu.Unlock()
		select {
		case <-emptied:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		s.mu.Lock()
	}
	return nil
}

// outcome adds a result of a command that awaits browsers, and never blocks. One that need
// not be told is not if too much waits, which is false.
func (s *results) outcome(r *fanoutv1.ExecuteResponse_Result, must bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !must && s.bytes >= maxOutcomeBytes {
		return false
	}
	s.putLocked(r)
	signal(s.wake)
	return true
}

// end adds the last result of a command that awaits browsers, or that no answer came if it is
// the answer to a call and too much waits.
func (s *results) end(sequence uint64, r *fanoutv1.OperationResult) {
	_, call := r.GetAnswer().(*fanoutv1.OperationResult_Call)
	if !s.outcome(&fanoutv1.ExecuteResponse_Result{Sequence: sequence, Last: true, Result: r}, !call) {
		s.outcome(&fanoutv1.ExecuteResponse_Result{Sequence: sequence, Last: true, Result: noAnswer}, true)
	}
}

// noAnswer is the same for everybody, and read only.
var noAnswer = &fanoutv1.OperationResult{Status: fromStatus(status.Convert(errNoAnswer))}

func (s *results) putLocked(r *fanoutv1.ExecuteResponse_Result) {
	if r == nil {
		return
	}
	size := proto.Size(r)
	s.list, s.sizes = append(s.list, r), append(s.sizes, size)
	s.bytes += size
}

// finish ends send, once it has sent what there is.
func (s *results) finish() {
	s.mu.Lock()
	s.finished = true
	s.mu.Unlock()
	signal(s.wake)
}

// send sends what is added, and once that draining is closed, until finish or until the
// stream breaks, which ends the receiver too.
func (s *results) send(stream executeStream, draining <-chan struct{}) error {
	var through uint64
	said := false // draining
	for {
		select {
		case <-s.wake:
		case <-draining:
			said, draining = true, nil
			if err := stream.Send(&fanoutv1.ExecuteResponse{AckedThrough: through, Draining: true}); err != nil {
				return err
			}
		}
		for {
			next, whole, finished := s.take()
			if !whole {
				next.AckedThrough = through // what was carried out since may be in the rest
			}
			if next.GetAckedThrough() == through && len(next.GetResults()) == 0 {
				if finished {
					return nil
				}
				break
			}
			next.Draining = said
			if err := stream.Send(next); err != nil {
				return err
			}
			through = next.GetAckedThrough()
		}
	}
}

// take takes what fits one message; whole: nothing is left.
func (s *results) take() (next *fanoutv1.ExecuteResponse, whole, finished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, bytes := 0, 0
	for n < len(s.list) && bytes < maxBatchBytes {
		bytes += s.sizes[n]
		n++
	}
	next = &fanoutv1.ExecuteResponse{Results: s.list[:n:n], AckedThrough: s.through}
	whole = n == len(s.list)
	s.list, s.sizes, s.bytes = s.list[n:], s.sizes[n:], s.bytes-bytes
	if whole {
		s.list, s.sizes = nil, s.sizes[:0]
	}
	close(s.emptied)
	s.emptied = make(chan struct{})
	return next, whole, s.finished
}
