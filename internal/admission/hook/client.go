package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	hookv1 "github.com/fanoutd/fanoutd/gen/fanout/hook/v1"
	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/warning"
)

var (
	errBusy   = errors.New("too many calls of the hook are in flight")
	errFailed = errors.New("the hook failed") // there was no answer, or none that may be used
)

// errTimeout is the cause of a call's end that nobody asked for.
var errTimeout = errors.New("no answer in time")

// Client asks the backend. It is safe for concurrent use.
type Client struct {
	// Immutable.
	conn    *grpc.ClientConn
	backend hookv1.AuthorizerServiceClient
	timeout time.Duration
	log     *slog.Logger

	key atomic.Pointer[string] // empty: none is sent

	slots chan struct{} // holds one for each call in flight

	allowed, refused, failed, busy, left atomic.Uint64

	failures warning.Throttle // bounds the warnings about them
}

// Stats counts calls since the start, and now.
type Stats struct {
	Allowed, Refused uint64 // as the backend decided
	Failed           uint64 // for want of an answer
	Busy             uint64 // because too many calls were in flight
	Left             uint64 // clients that left before
	InFlight         int
}

// New returns a Client. It fails on Options that are not valid, but does not
// wait for the backend, which may come and go.
func New(o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return newClient(o, o.target())
}

func newClient(o Options, target string, more ...grpc.DialOption) (*Client, error) {
	conn, err := grpc.NewClient(target, append(o.dialOptions(), more...)...)
	if err != nil {
		return nil, fmt.Errorf("hook: %w", err)
	}
	c := &Client{
		conn:    conn,
		backend: hookv1.NewAuthorizerServiceClient(conn),
		timeout: o.Timeout,
		log:     o.Logger,
		slots:   make(chan struct{}, o.Concurrency),
	}
	c.key.Store(&o.Key)
	return c, nil
}

// SetKey has key sent with each call from now on, as [Options.Key].
func (c *Client) SetKey(key string) { c.key.Store(&key) }

// Close ends the calls under way and the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Stats returns the current counts.
func (c *Client) Stats() Stats {
	return Stats{
		Allowed: c.allowed.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
		Busy: c.busy.Load(), Left: c.left.Load(), InFlight: len(c.slots),
	}
}

// authorize returns what the backend decided. Its error is a [*sio.Refusal] if
// that is the backend's own; a [*sio.Unavailable] that wraps errBusy or errFailed;
// or says that the client left.
func (c *Client) authorize(ctx context.Context, r *admission.Request, user string) (sio.Admission, error) {
	req, err := message(r, user)
	if err != nil {
		c.refused.Add(1)
		return sio.Admission{}, err
	}
	if !c.acquire(ctx) {
		return sio.Admission{}, c.undecided(ctx, errBusy, &c.busy)
	}
	defer c.release()
	call, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	resp, err := c.ask(call, req)
	if err != nil {
		return sio.Admission{}, c.undecided(ctx, fmt.Errorf("%w: %w", errFailed, err), &c.failed)
	}
	a, err := decision(resp)
	refusal, later := (*sio.Refusal)(nil), (*sio.Unavailable)(nil)
	switch {
	case err == nil:
		c.allowed.Add(1)
		return a, nil
	case errors.As(err, &later):
		c.refused.Add(1)
		return sio.Admission{}, later
	case errors.As(err, &refusal):
		c.refused.Add(1)
		return sio.Admission{}, refusal
	}
	return sio.Admission{}, c.undecided(ctx, fmt.Errorf("%w: its answer: %w", errFailed, err), &c.failed)
}

// acquire takes a slot for a call. It waits for one as long as for an answer: a
// burst of connections is let in one after the other, and a backend that is behind
// has its whole time for each of them.
func (c *Client) acquire(ctx context.Context) bool {
	late := time.NewTimer(c.timeout)
	defer late.Stop()
	select {
	case c.slots <- struct{}{}:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

func (c *Client) release() { <-c.slots }

// ask makes the call. A backend that is not there is waited for, within the
// time limit: a restart need not keep anybody out.
func (c *Client) ask(ctx context.Context, req *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	if key := *c.key.Load(); key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	resp, err := c.backend.Authorize(ctx, req, grpc.WaitForReady(true))
	if err != nil && ctx.Err() != nil {
		// gRPC says what it was waiting for, which is worth knowing.
		return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return resp, err
}

// undecided counts and logs a call without a decision, and returns its error. If
// the client left, that is all there is to it.
func (c *Client) undecided(ctx context.Context, err error, count *atomic.Uint64) error {
	if ctx.Err() != nil {
		c.left.Add(1)
		return fmt.Errorf("the client left while the hook was asked: %w", context.Cause(ctx))
	}
	count.Add(1)
	if n, ok := c.failures.Event(); ok {
		c.log.Warn("not letting connections in: no decision from the hook", "connections", n, "error", err)
	}
	return &sio.Unavailable{Message: "authorization unavailable", Reason: err}
}
