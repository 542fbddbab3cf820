package webhook

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/warning"
)

const (
	// maxMessageBytes is what one message may hold: nothing is too large in one process.
	maxMessageBytes = 1 << 30

	// ackMargin is what of the ack wait is left for operations once the endpoint has
	// answered just in time.
	ackMargin = 30 * time.Second

	// maxRemembered bounds the events that are known to have failed before.
	maxRemembered = 10_000
)

// Pauses: the first, and the longest, of each half is chance.
const (
	firstPause = 500 * time.Millisecond
	maxPause   = 30 * time.Second
)

// pause is how long to wait after the attempt, from 1.
func pause(attempt uint32) time.Duration {
	most := maxPause
	if attempt <= 6 { // beyond it the doubled first is longer
		most = min(maxPause, firstPause<<attempt)
	}
	return most/2 + rand.N(most/2) //nolint:gosec // chance, no secret
}

// member is the consumer of one endpoint.
type member struct {
	server   *Server
	endpoint Endpoint
	id       string // of the consumer
	address  string // the endpoint's, as logs may show it
	client   *http.Client
	counts   *counts
	log      *slog.Logger

	leaving sync.Once
	left    chan struct{} // closed by leave

	settled  atomic.Uint64              // events that were handled
	failures *lru.Cache[string, uint64] // by delivery, settled when it failed last

	problems, operationProblems warning.Throttle
}

// maxShownNode is how many bytes of a node's name ids of consumers have: together these may
// have 128.
const maxShownNode = 80

// newMember returns the consumer of e, of which it is this generation: each has an id of its
// own, so that none takes the place of one that still ends its requests.
func newMember(s *Server, e Endpoint, c *counts, generation uint64) *member {
	sum := sha256.Sum256([]byte(s.options.Node + "\x00" + e.URL))
	node := s.options.Node[:min(len(s.options.Node), maxShownNode)]
	m := &member{
		server: s, endpoint: e, counts: c, client: newClient(&e, s.options.dial),
		id: fmt.Sprintf("webhook:%s:%x:%d", node, sum[:4], generation), address: display(e.URL),
		left: make(chan struct{}),
	}
	m.log = s.options.Logger.With("group", e.Group, "url", m.address)
	m.failures, _ = lru.New[string, uint64](maxRemembered) // no error: the size is positive
	return m
}

// display is a URL without what may be secret.
func display(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// leave has the member leave its group, once its requests have ended.
func (m *member) leave() { m.leaving.Do(func() { close(m.left) }) }

// isLeaving reports whether leave was called.
func (m *member) isLeaving() bool {
	select {
	case <-m.left:
		return true
	default:
		return false
	}
}

// run is the member's life: it joins its group, and joins it again when it was thrown out.
func (m *member) run(ctx context.Context) {
	defer m.client.CloseIdleConnections()
	ctx = identity.NewContext(ctx, identity.Unlimited("webhook/"+m.endpoint.Group))
	for attempt := uint32(1); !m.isLeaving(); attempt++ {
		err := m.consume(ctx)
		if m.isLeaving() || ctx.Err() != nil {
			return
		}
		if n, ok := m.problems.Event(); ok {
			m.log.Warn("a webhook is no consumer of its group any more, and joins again", "times", n, "error", err)
		}
		again := time.NewTimer(pause(attempt))
		select {
		case <-again.C:
		case <-m.left:
		case <-ctx.Done():
		}
		again.Stop()
	}
}

func (m *member) open() *fanoutv1.ConsumeRequest {
	e := &m.endpoint
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: &fanoutv1.ConsumeRequest_Open{
		Group: e.Group, ConsumerId: m.id, Namespaces: e.Namespaces, Events: e.Events,
		Lifecycle: e.Lifecycle, RecoveryExpired: e.Lifecycle, Authorize: e.Authorize,
		MaxInFlight: uint32(e.MaxInFlight), OneByOne: true, Decode: true, MaxMessageBytes: maxMessageBytes, //nolint:gosec // within MaxMaxInFlight
		AckWait: durationpb.New(max(time.Second, e.Timeout) + ackMargin),
	}}}
}

// consume lives through one stream, and returns why it ended.
func (m *member) consume(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	s := newStream(ctx)
	ended := make(chan error, 1)
	var handling sync.WaitGroup
	defer handling.Wait()
	defer cancel()
	go func() {
		defer cancel() // what is under way settles nothing any more
		_, err := guarded(func() (struct{}, error) { return struct{}{}, m.server.options.Events.Consume(s) })
		m.logPanic(err)
		ended <- err
	}()
	defer func() { cancel(); <-ended }() //nolint:errcheck // whoever it was told to is gone by then
	s.say(m.open())
	flights := flights{latest: map[string]*flight{}}
	left := (<-chan struct{})(m.left)
	for {
		select {
		case r := <-s.responses:
			switch r := r.GetResponse().(type) {
			case *fanoutv1.ConsumeResponse_Events_:
				for _, e := range r.Events.GetEvents() {
					flight := flights.begin(ctx, e.GetDeliveryId())
					handling.Go(func() {
						defer flights.end(flight)
						m.handle(flight.ctx, s, e)
					})
				}
			case *fanoutv1.ConsumeResponse_Cancelled_:
				flights.cancel(r.Cancelled.GetDeliveryIds())
			case *fanoutv1.ConsumeResponse_Rejected_:
				m.rejected(s, r.Rejected)
			case *fanoutv1.ConsumeResponse_Draining_:
				go func() { // nothing follows: what is under way is the last
					handling.Wait()
					s.close()
				}()
			}
		case <-left:
			left = nil
			s.say(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Leave_{Leave: &fanoutv1.ConsumeRequest_Leave{}}})
		case err := <-ended:
			ended <- err
			return err
		}
	}
}

// errTakenBack ends a request whose event was taken back.
var errTakenBack = errors.New("the event was taken back")

// flight is a request under way.
type flight struct {
	delivery string
	ctx      context.Context
	cancel   context.CancelCauseFunc
}

// flights are the requests under way, by delivery. One that was taken back may not have
// ended yet when the next attempt of its delivery comes.
type flights struct {
	mu     sync.Mutex
	latest map[string]*flight
}

func (f *flights) begin(ctx context.Context, id string) *flight {
	ctx, cancel := context.WithCancelCause(ctx)
	begun := &flight{id, ctx, cancel}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest[id] = begun
	return begun
}

func (f *flights) end(ended *flight) {
	ended.cancel(nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.latest[ended.delivery] == ended {
		delete(f.latest, ended.delivery)
	}
}

func (f *flights) cancel(ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if under := f.latest[id]; under != nil {
			under.cancel(errTakenBack)
		}
	}
}
