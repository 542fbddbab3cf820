package control

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// How much of the log the failures of one method may take: as many lines at
// once, then one in each interval. A caller that repeats a call which fails
// must not fill a disk, and ten lines show whether the failures are alike.
const (
	maxErrorBurst = 10
	errorInterval = time.Second
)

// ErrorReporter turns errors into what a caller may see, and counts the calls that were
// refused for who called. What is nobody's mistake
// (an error that is no status of ours, a panic) is logged with its method, and is
// INTERNAL without a text for the caller. All methods may be
// called at once.
type ErrorReporter struct {
	log    *slog.Logger
	panics atomic.Uint64

	mu       sync.Mutex
	limits   map[string]*errorLimit // by method that is served, or reason of refusals
	refusals map[string]uint64      // by reason
}

// errorLimit bounds what is logged of one method, or of refusals for one reason.
type errorLimit struct {
	lines      *rate.Limiter
	suppressed int // since the last line
}

// newErrorReporter returns an ErrorReporter that logs to log.
func newErrorReporter(log *slog.Logger) *ErrorReporter {
	r := &ErrorReporter{log: log, limits: make(map[string]*errorLimit), refusals: make(map[string]uint64)}
	for _, reason := range refusalReasons {
		r.refusals[reason.String()] = 0 // a rate needs a first value
	}
	return r
}

// Code returns the gRPC status for err, which a call of method, or a part of
// it, ended with. Statuses made by this package are returned as they are, errors
// of contexts as CANCELED or DEADLINE_EXCEEDED; anything else is logged.
func (r *ErrorReporter) Code(ctx context.Context, method string, err error) error {
	coded, expected := codeError(err)
	if !expected {
		r.report(ctx, method, err)
	}
	return coded
}

// Panics returns how many calls, or parts of them, have ended by a panic.
func (r *ErrorReporter) Panics() uint64 { return r.panics.Load() }

func (r *ErrorReporter) report(ctx context.Context, method string, err error) {
	p := (*panicError)(nil)
	if errors.As(err, &p) {
		r.panics.Add(1)
	}
	suppressed, allowed := r.allow(method)
	if !allowed {
		return
	}
	args := []any{"method", method, "error", err}
	if caller := identity.FromContext(ctx).Name; caller != "" {
		args = append(args, "caller", caller)
	}
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	msg := "a call failed inside"
	if p != nil {
		msg = "panic in a call"
		args = append(args, "stack", string(p.stack))
	}
	r.log.ErrorContext(ctx, msg, args...)
}

// allow reports whether a failure of method may be logged now, and how many
// were not since the last one that was.
func (r *ErrorReporter) allow(method string) (suppressed int, allowed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.allowLocked(method)
}

func (r *ErrorReporter) allowLocked(of string) (suppressed int, allowed bool) {
	l := r.limits[of]
	if l == nil {
		l = &errorLimit{lines: rate.NewLimiter(rate.Every(errorInterval), maxErrorBurst)}
		r.limits[of] = l
	}
	if !l.lines.Allow() {
		l.suppressed++
		return 0, false
	}
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
