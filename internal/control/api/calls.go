package api

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/fanoutd/fanoutd/internal/metrics"
)

// MethodStats counts the calls of one method since the start.
type MethodStats struct {
	Method    string            // service/method; UnknownMethods for all that there are not
	Codes     map[string]uint64 // calls that ended, by their status code
	InFlight  int               // calls that have not ended
	Durations metrics.Distribution
	Streaming bool // its calls last as long as their callers like, and have no Durations
}

// UnknownMethods stands for the methods that callers make up.
const UnknownMethods = "unknown"

// CallCounter counts calls, of all transports that are given it, those included that no
// Middleware sees: a message that is too large, or a method that is not there. It is
// gRPC's stats handler; another transport tells it of each call's begin and end.
type CallCounter struct {
	methods map[string]*method // by full name; not changed once calls are served
	unknown *method
}

// method is what is counted of one method.
type method struct {
	name      string
	streaming bool
	codes     metrics.Labeled
	inFlight  atomic.Int64
	durations *metrics.Histogram
}

var _ stats.Handler = (*CallCounter)(nil)

// NewCallCounter returns a CallCounter that knows no method yet.
func NewCallCounter() *CallCounter {
	return &CallCounter{methods: map[string]*method{}, unknown: newMethod(UnknownMethods, true)}
}

func newMethod(name string, streaming bool) *method {
	return &method{name: name, streaming: streaming, durations: metrics.NewHistogram(
		100*time.Microsecond, 250*time.Microsecond, 500*time.Microsecond,
		time.Millisecond, 2500*time.Microsecond, 5*time.Millisecond,
		10*time.Millisecond, 25*time.Millisecond, 50*time.Millisecond,
		100*time.Millisecond, 250*time.Millisecond, 500*time.Millisecond,
		time.Second, 2500*time.Millisecond, 5*time.Second, 10*time.Second,
	)}
}

// Know makes known which methods there are, before any call. Those that are known
// already keep what was counted.
func (c *CallCounter) Know(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, m := range info.Methods {
			name := service + "/" + m.Name
			if c.methods["/"+name] != nil {
				continue
			}
			c.methods["/"+name] = newMethod(name, m.IsClientStream || m.IsServerStream)
		}
	}
}

type methodKey struct{}

// TagRPC implements stats.Handler.
func (c *CallCounter) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	m := c.methods[info.FullMethodName]
	if m == nil {
		m = c.unknown
	}
	return context.WithValue(ctx, methodKey{}, m)
}

// HandleRPC implements stats.Handler.
func (c *CallCounter) HandleRPC(ctx context.Context, s stats.RPCStats) {
	switch s := s.(type) {
	case *stats.Begin:
		ctx.Value(methodKey{}).(*method).inFlight.Add(1)
	case *stats.End:
		m := ctx.Value(methodKey{}).(*method)
		m.inFlight.Add(-1)
		m.codes.Add(status.Code(s.Error).String(), 1)
		if !m.streaming {
			m.durations.Observe(s.EndTime.Sub(s.BeginTime))
		}
	}
}

// TagConn implements stats.Handler.
func (*CallCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*CallCounter) HandleConn(context.Context, stats.ConnStats) {}

// Calls returns what was counted of every method that was called, by name.
func (c *CallCounter) Calls() []MethodStats {
	var all []MethodStats
	add := func(m *method) {
		st := MethodStats{Method: m.name, Codes: m.codes.All(), InFlight: int(m.inFlight.Load()), Streaming: m.streaming}
		if !m.streaming {
			st.Durations = m.durations.Distribution()
		}
		if len(st.Codes) > 0 || st.InFlight > 0 {
			all = append(all, st)
		}
	}
	for _, m := range c.methods {
		add(m)
	}
	add(c.unknown)
	slices.SortFunc(all, func(a, b MethodStats) int { return strings.Compare(a.Method, b.Method) })
	return all
}
