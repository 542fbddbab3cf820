package webhook

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Options of a [Server].
type Options struct {
	// Node is this node's name.
	Node string
	// Events is the service that endpoints consume from.
	Events interface {
		Consume(grpc.BidiStreamingServer[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse]) error
	}
	// Operations carries out what answers ask for.
	Operations interface {
		Batch(context.Context, *fanoutv1.BatchRequest) (*fanoutv1.BatchResponse, error)
	}
	// Tracer makes the spans of requests; nil: there are none.
	Tracer trace.Tracer
	// Logger. Default: slog.Default().
	Logger *slog.Logger

	dial func(ctx context.Context, network, address string) (net.Conn, error) // of tests; nil: as usual
}

// Server runs the consumers of endpoints. It is safe for concurrent use.
type Server struct {
	options Options
	running sync.WaitGroup
	ctx     context.Context // of all requests
	cancel  context.CancelFunc

	mu          sync.Mutex
	closed      bool
	members     map[[2]string]*member
	generations uint64             // members that there have been
	counts      map[string]*counts // by group
}

// New returns a Server without endpoints.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Server{options: o, members: map[[2]string]*member{}, counts: map[string]*counts{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Set has events go to these endpoints, and no others, of which no two have the same group
// and URL. Those that stay as they are go on; the others leave their groups and end the
// requests under way, while new ones begin at once: the dispatcher keeps the order.
func (s *Server) Set(endpoints []Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	before := s.members
	s.members = map[[2]string]*member{}
	var begin []*member
	for _, e := range endpoints {
		e = e.withDefaults()
		if m := before[e.key()]; m != nil && m.endpoint.same(&e) {
			s.members[e.key()] = m
			delete(before, e.key())
			continue
		}
		if s.counts[e.Group] == nil {
			s.counts[e.Group] = newCounts()
		}
		s.generations++
		m := newMember(s, e, s.counts[e.Group], s.generations)
		s.members[e.key()] = m
		begin = append(begin, m)
	}
	for _, m := range before {
		m.leave()
	}
	for _, m := range begin {
		s.running.Go(func() { m.run(s.ctx) })
	}
}

// Close has all endpoints leave their groups, and waits for the requests under way, which
// it cancels when ctx ends; that is its error.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for _, m := range s.members {
		m.leave()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.cancel()
	<-done
	return err
}

// Stats returns the current counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Groups: make(map[string]GroupStats, len(s.counts))}
	for group, c := range s.counts {
		stats.Groups[group] = c.stats()
	}
	return stats
}
