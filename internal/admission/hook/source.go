package hook

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

var _ admission.Source = (*Client)(nil)

// Decide implements admission.Source: it asks the backend whether the connection,
// of the user that it was granted so far, may be. It blocks until there is an
// answer, the time limit is over or ctx ends.
func (c *Client) Decide(ctx context.Context, r *admission.Request, sofar sio.Admission) (sio.Admission, error) {
	granted, err := c.authorize(ctx, r, sofar.User)
	if err != nil {
		return sio.Admission{}, err
	}
	return admission.Merge(sofar, granted)
}
