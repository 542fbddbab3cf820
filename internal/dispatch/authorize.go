package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

var _ admission.Source = (*Dispatcher)(nil)

var (
	errVerdictTimeout = errors.New("no verdict in time")
	errNotQueued      = errors.New("the group does not take the question")
	errNobodyDecides  = errors.New("a verdict is required, and no consumer authorises")
	errLeft           = errors.New("the client left before a verdict")
)

// undecided is what a browser gets that nobody refused. Its text tells it
// nothing that it could use.
func undecided(reason error) error {
	return &sio.Unavailable{Message: "authorization unavailable", Reason: reason}
}

// Connecting implements sio.Backend, for who asks no other source than consumers.
func (d *Dispatcher) Connecting(ctx context.Context, s *sio.Socket, auth []byte) (sio.Admission, error) {
	return admission.Decide(ctx, s, auth, d)
}

// epochFor returns what [Event.Epoch] is of a connection: where that has come back from
// another node, this node's.
func (d *Dispatcher) epochFor(connection string) string {
	if strings.HasPrefix(connection, d.opts.Epoch) {
		return ""
	}
	return d.opts.Epoch
}

// Decide implements admission.Source: it asks every group that authorises. It
// remembers a connection that it allows until it hears of its end, so it has to be
// the last source.
func (d *Dispatcher) Decide(ctx context.Context, r *admission.Request, sofar sio.Admission) (sio.Admission, error) {
	s := r.Socket
	if err := d.unready(s.Namespace()); err != nil {
		return sio.Admission{}, err
	}
	c := &client{socket: s, view: newView(s), epoch: d.epochFor(s.ID()), user: sofar.User}
	d.mu.Lock()
	d.clients[s.ID()] = c
	d.mu.Unlock()
	a, err := d.askGroups(ctx, c, r.Auth, sofar)
	if err != nil {
		d.discard(c)
		return sio.Admission{}, err
	}
	c.user = a.User
	return a, nil
}

// unready returns why the namespace takes no new connections just now, if so.
func (d *Dispatcher) unready(namespace string) error {
	groups := d.all()
	if d.policy(namespace) == Refuse && !slices.ContainsFunc(groups, func(g *group) bool { return g.online(namespace) }) {
		return &sio.Unavailable{Message: "no backend available"}
	}
	if busy(groups, namespace) {
		return &sio.Unavailable{Message: "backend busy"}
	}
	return nil
}

// askGroups asks the groups that authorise, one after the other, each with what
// was granted by then. All of them must allow, in time.
func (d *Dispatcher) askGroups(ctx context.Context, c *client, auth []byte, a sio.Admission) (sio.Admission, error) {
	namespace := c.socket.Namespace()
	groups := slices.DeleteFunc(d.all(), func(g *group) bool { return !g.authorizes(namespace) })
	if len(groups) == 0 {
		if d.needsVerdict(namespace) {
			return sio.Admission{}, undecided(errNobodyDecides)
		}
		return a, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.opts.VerdictTimeout, errVerdictTimeout)
	defer cancel()
	for _, g := range groups {
		v, err := d.askGroup(ctx, g, c, auth, a)
		if err != nil {
			return sio.Admission{}, err
		}
		if a, err = v.apply(a); err != nil {
			return sio.Admission{}, err
		}
	}
	return a, nil
}

// needsVerdict reports whether nobody gets into the namespace without a consumer's verdict.
func (d *Dispatcher) needsVerdict(namespace string) bool {
	return d.opts.RequireVerdict || !d.opts.OthersDecide && sio.OnlyEvery(d.opts.Namespaces, namespace)
}

// askGroup waits for one group's verdict.
func (d *Dispatcher) askGroup(ctx context.Context, g *group, c *client, auth []byte, a sio.Admission) (Verdict, error) {
	e := c.event(Connecting)
	e.Args = "[" + string(auth) + "]"
	e.UserID = a.User
	e.Connection.UserID, e.Connection.Rooms, e.Connection.Data, e.Connection.Expire = a.User, a.Rooms, a.Data, a.Expire
	e.verdict = make(chan Verdict, 1)
	e.measure()
	if g.enqueue(ctx, c, e) {
		select {
		case v, ok := <-e.verdict:
			if ok {
				return v, nil
			}
			return Verdict{}, undecided(fmt.Errorf("group %q: %w", g.name, ErrGroupDeleted))
		case <-ctx.Done():
		}
	}
	return Verdict{}, d.noVerdict(ctx, g, c)
}

// noVerdict returns why a group did not decide on a connection, and counts and
// logs it unless the session ended: any client can make sessions that do, at
// any rate.
func (d *Dispatcher) noVerdict(ctx context.Context, g *group, c *client) error {
	switch {
	case ctx.Err() == nil:
		return undecided(fmt.Errorf("group %q: %w", g.name, errNotQueued))
	case !errors.Is(context.Cause(ctx), errVerdictTimeout):
		return errLeft
	}
	d.verdictTimeouts.Add(1)
	if n, ok := g.verdictTimeouts.Event(); ok {
		d.log.Warn("not letting connections in: no verdict in time", "namespace", c.socket.Namespace(), "group", g.name, "connections", n)
	}
	return undecided(fmt.Errorf("group %q: %w", g.name, errVerdictTimeout))
}

// apply returns what a verdict makes of a, what was granted before.
func (v Verdict) apply(a sio.Admission) (sio.Admission, error) {
	if v.Allow {
		return admission.Merge(a, sio.Admission{User: v.User, Rooms: v.Rooms, Data: v.UserData, Expire: v.ExpiresAt})
	}
	if v.Retry {
		return sio.Admission{}, &sio.Unavailable{Message: "a consumer asks to try again"}
	}
	if v.Message == "" {
		v.Message = admission.NotAuthorized
	}
	return sio.Admission{}, &sio.Refusal{Message: v.Message, Data: v.Data}
}
