package token

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

var _ admission.Source = (*Verifier)(nil)

// Decide implements admission.Source: it refuses a connection without a token
// that is good, and grants what the token says. It blocks for [Options.KeyWait] at
// most.
func (v *Verifier) Decide(ctx context.Context, r *admission.Request, sofar sio.Admission) (sio.Admission, error) {
	ctx, cancel := context.WithTimeout(ctx, v.rules.Load().keyWait)
	defer cancel()
	granted, err := v.Verify(ctx, v.find(r))
	v.counts.count(err)
	if err != nil {
		return sio.Admission{}, forClient(err)
	}
	return admission.Merge(sofar, granted)
}

// forClient returns err, of Verify, as admission knows refusals and failures that
// may pass.
func forClient(err error) error {
	e := &Error{Code: Invalid, Reason: err}
	errors.As(err, &e)
	switch {
	case e.Code == Unavailable:
		return &sio.Unavailable{Message: string(e.Code), Reason: e.Reason}
	case e.Reason == nil:
		return &sio.Refusal{Message: string(e.Code)}
	}
	return fmt.Errorf("%w: %w", &sio.Refusal{Message: string(e.Code)}, e.Reason)
}

// Stats counts the connections that were decided on since the start, by what
// became of their tokens, and says whether there are keys.
type Stats struct {
	Accepted uint64
	Missing  uint64
	Expired  uint64
	Invalid  uint64
	// Unavailable: there were no keys to verify them with.
	Unavailable uint64

	// KeysReady: there were keys to verify tokens with at least once. Only a JWK
	// Set may have to be waited for.
	KeysReady bool
}

// counts is Stats as they are counted.
type counts struct{ accepted, missing, expired, invalid, unavailable atomic.Uint64 }

// count counts a token with which Verify failed with err, nil: did not fail.
func (c *counts) count(err error) {
	e := &Error{Code: Invalid}
	errors.As(err, &e)
	switch {
	case err == nil:
		c.accepted.Add(1)
	case e.Code == Missing:
		c.missing.Add(1)
	case e.Code == Expired:
		c.expired.Add(1)
	case e.Code == Unavailable:
		c.unavailable.Add(1)
	default:
		c.invalid.Add(1)
	}
}

// Stats returns the current counts.
func (v *Verifier) Stats() Stats {
	c := &v.counts
	return Stats{
		Accepted: c.accepted.Load(), Missing: c.missing.Load(), Expired: c.expired.Load(),
		Invalid: c.invalid.Load(), Unavailable: c.unavailable.Load(),
		KeysReady: v.rules.Load().keys.ready(),
	}
}
