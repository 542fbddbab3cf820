package backend

import (
	"context"
	"fmt"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// NewEmit returns the request for an event, for those who want to set more than
// [Client.Emit] does, such as Volatile, ConflateKey or IdempotencyKey. Each argument is
// marshalled by encoding/json, except that a []byte among the arguments, or at
// any depth in a map[string]any or []any among them, becomes a binary
// attachment. (Inside other types a []byte is base64 text, as always in Go.)
func NewEmit(to Target, event string, args ...any) (*fanoutv1.EmitRequest, error) {
	text, attachments, err := encode(args)
	if err != nil {
		return nil, fmt.Errorf("backend: the arguments of %q: %w", event, err)
	}
	return &fanoutv1.EmitRequest{To: to.Proto(), Event: event, ArgsJson: text, Attachments: attachments}, nil
}

// Emit sends an event to every connection of a target and returns how many
// that are: in a cluster, how many at the node that is asked, which does not wait
// for the others, and names those that it could not hand the event to. That none is
// there is no error, and none that are means that their browsers have seen it. For the
// arguments see [NewEmit].
func (c *Client) Emit(ctx context.Context, to Target, event string, args ...any) (Reached, error) {
	req, err := NewEmit(to, event, args...)
	if err != nil {
		return Reached{}, err
	}
	return c.Send(ctx, req)
}

// Send sends a request that [NewEmit] made and returns how many connections it
// reaches: in a cluster those of all nodes that answer, if its Wait is APPLIED.
func (c *Client) Send(ctx context.Context, req *fanoutv1.EmitRequest) (Reached, error) {
	res, err := c.emitter.Emit(ctx, req)
	if err != nil {
		return Reached{}, fmt.Errorf("backend: emitting %q: %w", req.GetEvent(), err)
	}
	return reached(res.GetMatched(), res), nil
}

// Join puts the connections of a target into rooms, in force for every later
// call. That none is there is no error. Repeating it is harmless.
func (c *Client) Join(ctx context.Context, to Target, rooms ...string) (Reached, error) {
	res, err := c.registry.Join(ctx, &fanoutv1.JoinRequest{To: to.Proto(), Rooms: rooms})
	if err != nil {
		return Reached{}, fmt.Errorf("backend: joining rooms: %w", err)
	}
	return reached(res.GetAffected(), res), nil
}

// Leave takes the connections of a target out of rooms. That none is there is
// no error. Repeating it is harmless.
func (c *Client) Leave(ctx context.Context, to Target, rooms ...string) (Reached, error) {
	res, err := c.registry.Leave(ctx, &fanoutv1.LeaveRequest{To: to.Proto(), Rooms: rooms})
	if err != nil {
		return Reached{}, fmt.Errorf("backend: leaving rooms: %w", err)
	}
	return reached(res.GetAffected(), res), nil
}

// Count returns how many connections a target has. If nodes of a cluster do not answer,
// the error is a [*PartialError], and the number is that of the others.
func (c *Client) Count(ctx context.Context, to Target) (int, error) {
	res, err := c.registry.CountConnections(ctx, &fanoutv1.CountConnectionsRequest{To: to.Proto()})
	if err != nil {
		return 0, fmt.Errorf("backend: counting connections: %w", err)
	}
	n := int(res.GetTotal())
	if away := res.GetUnreachable(); len(away) > 0 {
		return n, fmt.Errorf("backend: counting connections: %w", &PartialError{Count: n, Unreachable: away})
	}
	return n, nil
}
