package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// WatchKind is what [Client.Watch] tells of the connections of a target.
type WatchKind = fanoutv1.WatchRequest_Kind

const (
	// WatchConnections tells of each connection: who comes, changes and goes.
	WatchConnections WatchKind = fanoutv1.WatchRequest_CONNECTIONS

	// WatchRooms tells which rooms have members among them.
	WatchRooms WatchKind = fanoutv1.WatchRequest_ROOMS

	// WatchUsers tells which users have connections among them.
	WatchUsers WatchKind = fanoutv1.WatchRequest_USERS
)

// WatchOptions say what a [Client.Watch] tells. The zero value is for connections, without
// their handshakes.
type WatchOptions struct {
	// Kinds are what is told. Default: WatchConnections.
	Kinds []WatchKind

	// Handshake says that connections are shown with theirs.
	Handshake bool

	// Unreachable is called with the names of the nodes of a cluster that do not answer,
	// whenever these are others than before: what was told of them stands. Default: nobody
	// is told.
	Unreachable func(nodes []string)
}

// Watch calls tell with what becomes of the connections of a target: first those that there
// are, then Synced, and from then on each change, in the order of each node. A Resync says
// that what is known of the connections of its node is to be forgotten, and a Synced of that
// node follows.
//
// Watch returns nil when ctx ends. It comes back by itself when the stream is lost or the
// daemon restarts; tell gets a Resync without a node first then, after which everything is to
// be forgotten, rooms and users as well, and everything is told again. Errors are what no
// further try can change: a target that the daemon does not accept, or a key that may not
// read it.
//
// tell is called by the goroutine of Watch. While it runs, changes wait at the daemon: it
// sends a Resync in place of more than 16 MiB.
func (c *Client) Watch(ctx context.Context, to Target, o WatchOptions, tell func(*fanoutv1.WatchResponse_Change)) error {
	req := &fanoutv1.WatchRequest{To: to.Proto(), Kinds: o.Kinds}
	if o.Handshake {
		req.View = fanoutv1.Connection_FULL
	}
	w := watcher{client: c, req: req, tell: tell, unreachable: o.Unreachable}
	for b := (backoff{}); ; {
		began, err := w.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the caller has ended it
		}
		if !passing(err) {
			return fmt.Errorf("backend: watching: %w", err)
		}
		if began {
			b.reset()
		}
		c.log.Warn("a watch was lost; trying again", "error", err)
		if !b.wait(ctx, pause(err)) {
			return nil
		}
	}
}

// watcher is one Watch under way.
type watcher struct {
	client      *Client
	req         *fanoutv1.WatchRequest
	tell        func(*fanoutv1.WatchResponse_Change)
	unreachable func([]string) // may be nil

	told bool     // something, by this stream or one before
	away []string // the nodes that unreachable was called with
}

// session lives through one stream. began says that the daemon accepted it.
func (w *watcher) session(ctx context.Context) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := w.client.registry.Watch(ctx, w.req)
	if err != nil {
		return false, err
	}
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			err = errors.New("the daemon has ended it")
		}
		if err != nil {
			return began, err
		}
		if !began && w.told {
			w.tell(&fanoutv1.WatchResponse_Change{Change: &fanoutv1.WatchResponse_Change_Resync{Resync: &fanoutv1.WatchResponse_Resync{}}})
		}
		began = true
		for _, c := range m.GetChanges() {
			w.told = true
			w.tell(c)
		}
		if away := m.GetUnreachable(); w.unreachable != nil && !slices.Equal(away, w.away) {
			w.away = away
			w.unreachable(away)
		}
	}
}
