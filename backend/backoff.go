package backend

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

// backoff is the pace of tries that fail. The zero value is ready.
type backoff struct{ failures int }

// wait pauses before the next try, for a time that doubles with each failure
// and of which up to a half is left to chance, so that a fleet does not come
// back in step; at least for atLeast. False: ctx has ended.
func (b *backoff) wait(ctx context.Context, atLeast time.Duration) bool {
	d := min(firstPause<<min(b.failures, 10), longestPause)
	b.failures++
	t := time.NewTimer(max(d/2+rand.N(d/2), atLeast))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b *backoff) reset() { b.failures = 0 }

// passing reports whether the next try may do better than the one that failed
// with err.
func passing(err error) bool {
	if errors.Is(err, ErrReplaced) || errors.Is(err, ErrGroupDeleted) {
		return false
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented,
		codes.FailedPrecondition, codes.NotFound, codes.OutOfRange, codes.AlreadyExists:
		return false
	}
	return true
}

// pause is how long the daemon asked to wait before the next try, at most the
// longest pause.
func pause(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return min(r.GetRetryDelay().AsDuration(), longestPause)
		}
	}
	return 0
}

// hasReason reports whether this is why the daemon refused a call, or ended a stream.
func hasReason(err error, reason string) bool {
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok && i.GetReason() == reason {
			return true
		}
	}
	return false
}
