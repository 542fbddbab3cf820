package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	hookv1 "github.com/fanoutd/fanoutd/gen/fanout/hook/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

var (
	// ErrBusy: the cap on calls left no turn in time.
	ErrBusy = errors.New("too many connections wait for the hook")
	// ErrFailed: there was no answer, or none that may be used.
	ErrFailed = errors.New("the hook failed")
)

// errTimeout is the cause of a call's end that nobody asked for.
var errTimeout = errors.New("no answer in time")

// Client asks the backend. Its methods may be called at once.
type Client struct {
	// Fixed at birth.
	conn    *grpc.ClientConn
	backend hookv1.AuthorizerServiceClient
	key     string
	timeout time.Duration
	log     *slog.Logger

	slots chan struct{} // holds one for each call under way

	allowed, refused, failed, busy, left atomic.Uint64

	mu     sync.Mutex
	warned time.Time // when the log last heard of a failure
}

// Stats are counts since the start, and calls now.
type Stats struct {
	Allowed, Refused uint64 // as the backend decided
	Failed           uint64 // refused for want of an answer
	Busy             uint64 // refused for want of a turn
	Left             uint64 // browsers that left before
	InFlight         int    // calls under way
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
	return &Client{
		conn:    conn,
		backend: hookv1.NewAuthorizerServiceClient(conn),
		key:     o.Key,
		timeout: o.Timeout,
		log:     o.Logger,
		slots:   make(chan struct{}, o.Concurrency),
	}, nil
}

// Close ends the calls under way and the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Stats returns the current counts.
func (c *Client) Stats() Stats {
	return Stats{
		Allowed: c.allowed.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
		Busy: c.busy.Load(), Left: c.left.Load(), InFlight: len(c.slots),
	}
}

// Authorize asks whether the connection, of the user that its token names if
// any, may be. It blocks until there is an answer, the time limit is over or
// ctx, which is to end with the browser's session, ends.
//
// A [*sio.Refusal] is the backend's own. Any other error wraps [ErrBusy],
// [ErrFailed], or the cause of ctx's end; what it says is not for clients.
func (c *Client) Authorize(ctx context.Context, r Request) (sio.Admission, error) {
	req, err := r.message()
	if err != nil {
		c.refused.Add(1)
		return sio.Admission{}, err
	}
	call, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	if !c.turn(call) {
		return sio.Admission{}, c.gaveUp(ctx, ErrBusy, &c.busy)
	}
	defer func() { <-c.slots }()
	resp, err := c.ask(call, req)
	if err != nil {
		return sio.Admission{}, c.gaveUp(ctx, fmt.Errorf("%w: %w", ErrFailed, err), &c.failed)
	}
	a, err := decision(resp)
	var refusal *sio.Refusal
	switch {
	case err == nil:
		c.allowed.Add(1)
		return a, nil
	case errors.As(err, &refusal):
		c.refused.Add(1)
		return sio.Admission{}, refusal
	}
	return sio.Admission{}, c.gaveUp(ctx, fmt.Errorf("%w: its answer: %w", ErrFailed, err), &c.failed)
}

// turn waits for a turn, for half of the time limit at most. Later calls would
// have hardly any time left: a backend that is behind would be kept busy with
// what nobody waits for any more.
func (c *Client) turn(ctx context.Context) bool {
	late := time.NewTimer(c.timeout / 2)
	defer late.Stop()
	select {
	case c.slots <- struct{}{}:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

// ask makes the call. A backend that is not there is waited for, within the
// time limit: a restart need not keep anybody out, and stock clients do not come
// back by themselves once they are refused.
func (c *Client) ask(ctx context.Context, req *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
	if c.key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.key)
	}
	resp, err := c.backend.Authorize(ctx, req, grpc.WaitForReady(true))
	if err != nil && ctx.Err() != nil {
		// gRPC says what it was waiting for, which is worth knowing.
		return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return resp, err
}

// gaveUp counts and logs a call without a decision, and returns its error. If
// the browser has left, that is all there is to it.
func (c *Client) gaveUp(ctx context.Context, err error, count *atomic.Uint64) error {
	if ctx.Err() != nil {
		c.left.Add(1)
		return fmt.Errorf("the browser left: %w", context.Cause(ctx))
	}
	count.Add(1)
	level := slog.LevelDebug
	if c.warn() {
		level = slog.LevelWarn
	}
	c.log.Log(ctx, level, "refusing a connection: no decision from the hook", "error", err)
	return err
}

// warnEvery lies between warnings: an outage is one event, not one for every
// browser.
const warnEvery = 10 * time.Second

// warn reports whether it is time for another warning.
func (c *Client) warn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.warned) < warnEvery {
		return false
	}
	c.warned = now
	return true
}
