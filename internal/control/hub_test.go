package control

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// memHub is a Hub in memory: connections that are only entries, and a record
// of every operation. It selects with the real membership index.
type memHub struct {
	maxPacket int // bytes of arguments and attachments; 0: no limit

	mu         sync.Mutex
	namespaces map[string]*room.Registry[*sio.Connection]
	seq        uint64
	ops        []sio.Op
	asks       []sio.Ask
	answer     func(id string) sio.Outcome // of each connection that is asked
	err        error                       // what Apply answers instead of doing anything
	before     func(context.Context)       // called by Apply, unlocked; may block
	spoil      func(c *sio.Connection)     // called on every Connection handed out
}

var _ Hub = (*memHub)(nil)

// newMemHub returns a Hub with these namespaces and "/".
func newMemHub(namespaces ...string) *memHub {
	h := &memHub{namespaces: map[string]*room.Registry[*sio.Connection]{"/": room.New[*sio.Connection]()}}
	for _, name := range namespaces {
		h.namespaces[name] = room.New[*sio.Connection]()
	}
	return h
}

// connect adds a connection.
func (h *memHub) connect(namespace, id, user string, rooms ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	r := h.namespaces[namespace]
	e := r.Add(id, user, &sio.Connection{
		Seq: h.seq, ID: id, Namespace: namespace, UserID: user, Transport: "websocket", Protocol: 4,
		RemoteAddr:  fmt.Sprintf("192.0.2.1:%d", h.seq),
		ConnectedAt: time.Unix(1700000000, 0).Add(time.Duration(h.seq) * time.Second),
		Data:        map[string]any{},
	})
	for _, name := range rooms {
		r.Join(e, name)
	}
}

func (h *memHub) disconnect(namespace, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.namespaces[namespace]
	r.Remove(r.Lookup(id))
}

// emits returns the events applied so far.
func (h *memHub) emits() []sio.Emit {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []sio.Emit
	for _, op := range h.ops {
		if e, ok := op.(sio.Emit); ok {
			out = append(out, e)
		}
	}
	return out
}

func (h *memHub) applied() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

func (h *memHub) selectLocked(to sio.Target) ([]*room.Entry[*sio.Connection], error) {
	r := h.namespaces[to.Namespace]
	if r == nil {
		return nil, sio.ErrUnknownNamespace
	}
	var found []*room.Entry[*sio.Connection]
	r.Select(to.Selector, func(e *room.Entry[*sio.Connection]) { found = append(found, e) })
	return found, nil
}

func (h *memHub) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	if h.before != nil {
		h.before(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return sio.Result{}, h.err
	}
	var to sio.Target
	switch op := op.(type) {
	case sio.Emit:
		to = op.To
	case sio.Join:
		to = op.To
	case sio.Leave:
		to = op.To
	case sio.Disconnect:
		to = op.To
	case sio.Update:
		to = sio.Target{Namespace: op.Namespace, Selector: room.Selector{IDs: []string{op.ID}}}
	}
	found, err := h.selectLocked(to)
	if err != nil {
		return sio.Result{}, err
	}
	r := h.namespaces[to.Namespace]
	switch op := op.(type) {
	case sio.Emit:
		size := len(op.Args)
		for _, a := range op.Attachments {
			size += len(a)
		}
		if h.maxPacket > 0 && size > h.maxPacket {
			return sio.Result{}, sio.ErrTooLarge
		}
	case sio.Join:
		for _, e := range found {
			for _, name := range op.Rooms {
				r.Join(e, name)
			}
		}
	case sio.Leave:
		for _, e := range found {
			for _, name := range op.Rooms {
				r.Leave(e, name)
			}
		}
	case sio.Disconnect:
		for _, e := range found {
			r.Remove(e)
		}
	case sio.Update:
		if len(found) == 0 {
			return sio.Result{}, sio.ErrNotFound
		}
		data := maps.Clone(found[0].Value.Data)
		for k, v := range op.Data {
			if v == nil {
				delete(data, k)
			} else {
				data[k] = v
			}
		}
		found[0].Value.Data = data
	}
	h.ops = append(h.ops, op)
	return sio.Result{Matched: len(found)}, nil
}

// Ask reports what answer says of each connection, in the order of their ids.
func (h *memHub) Ask(ctx context.Context, ask sio.Ask, yield func(sio.Outcome) bool) (sio.Tally, error) {
	if _, err := h.Apply(ctx, ask.Emit); err != nil {
		return sio.Tally{}, err
	}
	h.mu.Lock()
	h.asks = append(h.asks, ask)
	found, _ := h.selectLocked(ask.Emit.To)
	h.mu.Unlock()
	slices.SortFunc(found, func(a, b *room.Entry[*sio.Connection]) int { return strings.Compare(a.ID(), b.ID()) })
	t := sio.Tally{Expected: len(found)}
	for _, e := range found {
		o := h.answer(e.ID())
		o.ConnectionID = e.ID()
		switch o.Fate {
		case sio.Answered:
			t.Answered++
		case sio.TimedOut:
			t.TimedOut++
		case sio.Gone:
			t.Gone++
		}
		if !yield(o) {
			break
		}
	}
	return t, ctx.Err()
}

func (h *memHub) view(e *room.Entry[*sio.Connection]) sio.Connection {
	c := *e.Value
	c.Rooms = e.Rooms()
	slices.Sort(c.Rooms)
	if h.spoil != nil {
		h.spoil(&c)
	}
	return c
}

func (h *memHub) Connections(_ context.Context, to sio.Target, after uint64, limit int) ([]sio.Connection, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, err := h.selectLocked(to)
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(found, func(a, b *room.Entry[*sio.Connection]) int { return cmp.Compare(a.Value.Seq, b.Value.Seq) })
	var page []sio.Connection
	for _, e := range found {
		switch {
		case e.Value.Seq <= after:
		case len(page) == limit:
			return page, true, nil
		default:
			page = append(page, h.view(e))
		}
	}
	return page, false, nil
}

func (h *memHub) Connection(_ context.Context, namespace, id string) (sio.Connection, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.namespaces[namespace]
	if r == nil {
		return sio.Connection{}, sio.ErrUnknownNamespace
	}
	e := r.Lookup(id)
	if e == nil {
		return sio.Connection{}, sio.ErrNotFound
	}
	return h.view(e), nil
}

func (h *memHub) Count(_ context.Context, to sio.Target, by sio.GroupBy) (map[string]int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	namespaces := []string{to.Namespace}
	if by == sio.GroupNamespace && to.Namespace == "" {
		namespaces = slices.Collect(maps.Keys(h.namespaces))
	}
	counts := map[string]int{}
	for _, name := range namespaces {
		to.Namespace = name
		found, err := h.selectLocked(to)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			switch by {
			case sio.GroupNone:
				counts[""]++
			case sio.GroupNamespace:
				counts[name]++
			case sio.GroupTransport:
				counts[e.Value.Transport]++
			case sio.GroupUser:
				counts[e.Value.UserID]++
			case sio.GroupRoom:
				for _, r := range e.Rooms() {
					counts[r]++
				}
			}
		}
	}
	return counts, nil
}

func (h *memHub) Rooms(_ context.Context, namespace, prefix, after string, limit int) ([]sio.Named, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.namespaces[namespace]
	if r == nil {
		return nil, false, sio.ErrUnknownNamespace
	}
	rooms, more := r.Rooms(prefix, after, limit)
	var page []sio.Named
	for _, c := range rooms {
		page = append(page, sio.Named{Name: c.Name, Connections: c.Members})
	}
	return page, more, nil
}

func (h *memHub) Namespaces(_ context.Context, prefix, after string, limit int) ([]sio.Named, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var page []sio.Named
	for _, name := range slices.Sorted(maps.Keys(h.namespaces)) {
		switch {
		case name <= after || !strings.HasPrefix(name, prefix):
		case len(page) == limit:
			return page, true, nil
		default:
			r := h.namespaces[name]
			page = append(page, sio.Named{Name: name, Connections: r.Len(), Rooms: r.RoomCount()})
		}
	}
	return page, false, nil
}
