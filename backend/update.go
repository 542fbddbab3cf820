package backend

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Update says what changes of connections. The zero value changes nothing.
type Update struct {
	// User makes them this user's, as a login after the connect does; a pointer to an
	// empty string: nobody's. Nil leaves it as it is.
	User *string

	// Data is merged into what is kept with them, key by key; a nil value removes its
	// key. It must marshal to JSON. Replace has it take the place of what was kept.
	Data    map[string]any
	Replace bool

	// ExpireAt is when they are closed, and come back to be decided anew; zero leaves
	// it as it is. Lasting: never.
	ExpireAt time.Time
	Lasting  bool
}

func (u Update) request(to Target) (*fanoutv1.UpdateConnectionsRequest, error) {
	req := &fanoutv1.UpdateConnectionsRequest{To: to.Proto(), UserId: u.User, Replace: u.Replace, ClearExpireAt: u.Lasting}
	if len(u.Data) > 0 {
		var err error
		if req.DataJson, err = dataText(u.Data); err != nil {
			return nil, fmt.Errorf("backend: updating: %w", err)
		}
	}
	if !u.ExpireAt.IsZero() {
		req.ExpireAt = timestamppb.New(u.ExpireAt)
	}
	return req, nil
}

// Update changes the connections of a target, in force for every later call. That none is
// there is no error.
func (c *Client) Update(ctx context.Context, to Target, u Update) (Reached, error) {
	req, err := u.request(to)
	if err != nil {
		return Reached{}, err
	}
	res, err := c.registry.UpdateConnections(ctx, req)
	if err != nil {
		return Reached{}, fmt.Errorf("backend: updating: %w", err)
	}
	return reached(res.GetAffected(), res), nil
}
