package sio

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// eventRate bounds how many packets a second are taken from one client: events, answers
// to acks, and CONNECT and DISCONNECT, which cost a backend as much. Whoever sends
// faster is read more slowly, which TCP passes on; nothing is lost by it.
type eventRate struct{ bucket *rate.Limiter } // nil: there is no limit

// delays counts what rates cost clients.
type delays struct {
	packets atomic.Uint64
	time    atomic.Int64 // a time.Duration
}

// newEventRate returns the rate of a client that has not sent anything. A second's
// worth may come at once.
func newEventRate(perSecond int) eventRate {
	if perSecond <= 0 {
		return eventRate{}
	}
	r := eventRate{bucket: rate.NewLimiter(rate.Limit(perSecond), perSecond)}
	r.bucket.Allow() // the first packet, which nobody has to wait for
	return r
}

// await is called after each packet and returns when the next one may be taken, or when
// the session has ended, and counts in d what that cost. No lock of its conn is held
// meanwhile.
func (r *eventRate) await(session *engineio.Session, d *delays) {
	if r.bucket == nil {
		return
	}
	now := time.Now()
	delay := r.bucket.ReserveN(now, 1).DelayFrom(now)
	if delay <= 0 {
		return
	}
	d.packets.Add(1)
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-session.Done():
	}
	d.time.Add(int64(time.Since(now)))
}
