package backend

import (
	"context"
	"fmt"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// DisconnectMode says what ends with a connection, and whether its client comes
// back.
type DisconnectMode = fanoutv1.DisconnectRequest_Mode

const (
	// DisconnectNamespace ends the connection alone. The client is told, and stays
	// away until its page connects again.
	DisconnectNamespace DisconnectMode = fanoutv1.DisconnectRequest_NAMESPACE

	// DisconnectTransport closes what is under the connection without a word: the
	// client takes it for a network failure and comes back by itself, with a new id
	// in each of its namespaces.
	DisconnectTransport DisconnectMode = fanoutv1.DisconnectRequest_TRANSPORT

	// DisconnectSession ends all connections of the client's session, in every
	// namespace. The client is told, and stays away until its page connects again.
	DisconnectSession DisconnectMode = fanoutv1.DisconnectRequest_SESSION
)

// DisconnectOptions say how connections end. The zero value ends them in their
// namespace, for no stated reason.
type DisconnectOptions struct {
	Mode   DisconnectMode // default: DisconnectNamespace
	Reason string         // for the daemon's log and for Event.Detail; clients do not see it. At most 256 bytes
}

// Disconnect ends the connections of a target. That none is there is no error.
func (c *Client) Disconnect(ctx context.Context, to Target, o DisconnectOptions) (Reached, error) {
	res, err := c.registry.Disconnect(ctx, &fanoutv1.DisconnectRequest{To: to.Proto(), Mode: o.Mode, Reason: o.Reason})
	if err != nil {
		return Reached{}, fmt.Errorf("backend: disconnecting: %w", err)
	}
	return reached(res.GetAffected(), res), nil
}
