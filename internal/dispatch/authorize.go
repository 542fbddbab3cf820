package dispatch

import (
	"context"
	"maps"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// refusals that come from here; their texts tell the browser nothing it could use.
var (
	errUndecided = &sio.Refusal{Message: "authorization unavailable"}
	errRefused   = &sio.Refusal{Message: "not authorized"}
)

// decide asks every group that authorises, one after the other, and adds what
// they grant to a. All of them must allow, in time.
func (d *Dispatcher) decide(ctx context.Context, c *client, a sio.Admission, auth []byte) (sio.Admission, error) {
	asked := false
	ctx, cancel := context.WithTimeout(ctx, d.opts.VerdictTimeout)
	defer cancel()
	for _, g := range d.all() {
		if !g.authorizes(c.socket.Namespace()) {
			continue
		}
		asked = true
		e := c.event(Connecting)
		e.Args = append(append([]byte{'['}, auth...), ']')
		e.UserID = a.User
		e.Connection.UserID, e.Connection.Rooms, e.Connection.Data, e.Connection.Expire = a.User, a.Rooms, a.Data, a.Expire
		e.verdict = make(chan Verdict, 1)
		e.measure()
		if !g.enqueue(ctx, e) {
			return a, errUndecided
		}
		select {
		case v := <-e.verdict:
			if !v.Allow {
				if v.Message == "" {
					v.Message = errRefused.Message
				}
				return a, &sio.Refusal{Message: v.Message, Data: v.Data}
			}
			a = grant(a, v)
		case <-ctx.Done():
			d.undecided(c, g)
			return a, errUndecided
		}
	}
	if !asked && d.opts.RequireVerdict {
		return a, errUndecided
	}
	if !a.Expire.IsZero() && !a.Expire.After(time.Now()) {
		return a, errRefused
	}
	return a, nil
}

// undecided counts and logs a connection that the group did not decide on. Its
// browser may have left, which any stranger can do at any rate: no warning.
func (d *Dispatcher) undecided(c *client, g *group) {
	namespace := c.socket.Namespace()
	select {
	case <-c.socket.Done():
		d.log.Debug("a browser left before a verdict", "namespace", namespace, "group", g.name)
		return
	default:
	}
	d.verdictTimeouts.Add(1)
	if n, ok := g.verdictTimeouts.Event(); ok {
		d.log.Warn("refusing connections: no verdict in time", "namespace", namespace, "group", g.name, "connections", n)
	}
}

// grant adds a verdict to what was granted before.
func grant(a sio.Admission, v Verdict) sio.Admission {
	if v.User != "" {
		a.User = v.User
	}
	a.Rooms = append(a.Rooms[:len(a.Rooms):len(a.Rooms)], v.Rooms...)
	if len(v.UserData) > 0 {
		data := maps.Clone(a.Data)
		if data == nil {
			data = map[string]any{}
		}
		maps.Copy(data, v.UserData)
		a.Data = data
	}
	if a.Expire.IsZero() || !v.ExpiresAt.IsZero() && v.ExpiresAt.Before(a.Expire) {
		a.Expire = v.ExpiresAt
	}
	return a
}
