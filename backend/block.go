package backend

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Blocked are users and addresses of browsers: 1 to 1000 in all.
type Blocked struct {
	Users []string

	// Addresses are IP addresses and networks: "203.0.113.7", "2001:db8::/48".
	Addresses []string
}

// BlockOptions say for how long somebody is blocked, and why. The zero value is until
// [Client.Unblock], for no stated reason.
type BlockOptions struct {
	Until  time.Time // when it ends by itself; zero: it does not
	Reason string    // for the daemon's log, ListBlocks and Event.Detail; clients do not see it. At most 256 bytes

	// IdempotencyKey makes a repeated call harmless. Default: none.
	IdempotencyKey string
}

// Block ends the connections of users and addresses, and refuses them from then on, whatever
// else would let them in. The answer says how many connections it ended. If it is Partial the
// block is not known to be in force at the nodes that it names, which have it as soon as they
// are reached.
func (c *Client) Block(ctx context.Context, who Blocked, o BlockOptions) (*fanoutv1.BlockResponse, error) {
	req := &fanoutv1.BlockRequest{Users: who.Users, Addresses: who.Addresses, Reason: o.Reason, IdempotencyKey: o.IdempotencyKey}
	if !o.Until.IsZero() {
		req.Until = timestamppb.New(o.Until)
	}
	res, err := c.registry.Block(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("backend: blocking: %w", err)
	}
	return res, nil
}

// Unblock lifts the blocks of users, and of addresses as they were blocked. Of what is not
// blocked it is no error. The answer says how many there were, and is Partial as that of
// [Client.Block] is.
func (c *Client) Unblock(ctx context.Context, who Blocked) (*fanoutv1.UnblockResponse, error) {
	res, err := c.registry.Unblock(ctx, &fanoutv1.UnblockRequest{Users: who.Users, Addresses: who.Addresses})
	if err != nil {
		return nil, fmt.Errorf("backend: lifting blocks: %w", err)
	}
	return res, nil
}
