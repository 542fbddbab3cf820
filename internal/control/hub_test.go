package control

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
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
	run        string // part of its cursors
	node       string
	ops        []sio.Op
	asks       []sio.AckRequest
	answer     func(id string) sio.AckResult // of each connection that is asked
	err        error                         // what Apply answers instead of doing anything
	before     func(context.Context)         // called by Apply, unlocked; may block
	spoil      func(c *sio.Connection)       // called on every Connection handed out
	watches    memWatches
}

var _ Hub = (*memHub)(nil)

// newMemHub returns a Hub with these namespaces and "/".
func newMemHub(namespaces ...string) *memHub {
	h := &memHub{run: rand.Text(), node: "n1", namespaces: map[string]*room.Registry[*sio.Connection]{"/": room.New[*sio.Connection]()}}
	for _, name := range namespaces {
		h.namespaces[name] = room.New[*sio.Connection]()
	}
	return h
}

// connect adds a connection.
func (h *memHub) connect(namespace, id, user string, rooms ...string) {
	defer h.watches.wake()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	r := h.namespaces[namespace]
	e := r.Add(id, user, &sio.Connection{
		Node: h.node, ID: id, Namespace: namespace, UserID: user, Transport: "websocket", Protocol: 4,
		RemoteAddr:  fmt.Sprintf("192.0.2.1:%d", h.seq),
		Handshake:   &sio.Handshake{IssuedAt: time.Unix(1700000000, 0)},
		ConnectedAt: time.Unix(1700000000, 0).Add(time.Duration(h.seq) * time.Second),
		Data:        map[string]any{},
	})
	for _, name := range rooms {
		r.Join(e, name)
	}
}

func (h *memHub) disconnect(namespace, id string) {
	defer h.watches.wake()
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
	if to.Owner != (sio.Owner{}) { // nobody owns any of them
		return nil, nil
	}
	r.Select(to.Selector, func(e *room.Entry[*sio.Connection]) { found = append(found, e) })
	return found, nil
}

// updateLocked changes the data and the user of those that were found.
func updateLocked(r *room.Registry[*sio.Connection], found []*room.Entry[*sio.Connection], c *sio.Changes) {
	for _, e := range found {
		if c.User != nil {
			r.SetUser(e, *c.User)
			e.Value.UserID = *c.User
		}
		data := maps.Clone(e.Value.Data)
		if c.Replace {
			data = map[string]any{}
		}
		for k, v := range c.Data {
			if v == nil {
				delete(data, k)
			} else {
				data[k] = v
			}
		}
		e.Value.Data = data
	}
}

func (h *memHub) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	if h.before != nil {
		h.before(ctx)
	}
	defer h.watches.wake()
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
	default:
		to = sio.TargetOf(op)
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
		updateLocked(h.namespaces[sio.TargetOf(op).Namespace], found, &op.Changes)
	case sio.UpdateAll:
		updateLocked(h.namespaces[sio.TargetOf(op).Namespace], found, &op.Changes)
	}
	h.ops = append(h.ops, op)
	return sio.Result{Matched: len(found)}, nil
}

// EmitWithAck reports what answer says of each connection, in the order of their ids.
func (h *memHub) EmitWithAck(ctx context.Context, ask sio.AckRequest, yield func(sio.AckResult) bool) (sio.AckSummary, error) {
	if _, err := h.Apply(ctx, ask.Emit); err != nil {
		return sio.AckSummary{}, err
	}
	h.mu.Lock()
	h.asks = append(h.asks, ask)
	found, _ := h.selectLocked(ask.Emit.To)
	h.mu.Unlock()
	slices.SortFunc(found, func(a, b *room.Entry[*sio.Connection]) int { return strings.Compare(a.Value.ID, b.Value.ID) })
	t := sio.AckSummary{Expected: len(found)}
	if ask.Placed != nil {
		ask.Placed()
	}
	if ask.Sent != nil {
		ask.Sent(t)
	}
	for _, e := range found {
		o := h.answer(e.Value.ID)
		o.ConnectionID = e.Value.ID
		switch o.Outcome {
		case sio.Answered:
			t.Answered++
		case sio.TimedOut:
			t.TimedOut++
		case sio.Disconnected:
			t.Disconnected++
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

func (h *memHub) cursor(e *room.Entry[*sio.Connection]) string {
	return fmt.Sprintf("%s.%d", h.run, e.Seq())
}

func (h *memHub) Connections(_ context.Context, to sio.Target, cursor string, limit int) (page sio.ConnectionPage, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, err := h.selectLocked(to)
	if err != nil {
		return page, err
	}
	var after uint64
	if cursor != "" {
		digits, ok := strings.CutPrefix(cursor, h.run+".")
		if after, err = strconv.ParseUint(digits, 10, 64); !ok || err != nil {
			return page, sio.ErrBadCursor
		}
	}
	slices.SortFunc(found, func(a, b *room.Entry[*sio.Connection]) int { return cmp.Compare(a.Seq(), b.Seq()) })
	for _, e := range found {
		switch {
		case e.Seq() <= after:
		case len(page.Connections) == limit:
			page.Next = page.Connections[limit-1].Cursor
			return page, nil
		default:
			c := h.view(e)
			c.Cursor = h.cursor(e)
			page.Connections = append(page.Connections, c)
		}
	}
	return page, nil
}

func (h *memHub) HasNamespace(_ context.Context, name string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for served := range h.namespaces {
		if sio.CheckNamespace(name) == nil && sio.Overlap(served, name) {
			return true, nil
		}
	}
	return false, nil
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

func (h *memHub) Count(_ context.Context, to sio.Target, by sio.GroupBy) (sio.Counts, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	namespaces := []string{to.Namespace}
	if by == sio.GroupNamespace && to.Namespace == "" {
		namespaces = slices.Collect(maps.Keys(h.namespaces))
	}
	counts := sio.Counts{Groups: map[string]int{}}
	for _, name := range namespaces {
		to.Namespace = name
		found, err := h.selectLocked(to)
		if err != nil {
			return sio.Counts{}, err
		}
		counts.Total += len(found)
		for _, e := range found {
			switch by {
			case sio.GroupNone:
				counts.Groups[""]++
			case sio.GroupNode:
				counts.Groups[e.Value.Node]++
			case sio.GroupNamespace:
				counts.Groups[name]++
			case sio.GroupTransport:
				counts.Groups[e.Value.Transport]++
			case sio.GroupUser:
				counts.Groups[e.Value.UserID]++
			case sio.GroupRoom:
				for _, r := range e.Rooms() {
					counts.Groups[r]++
				}
			}
		}
	}
	return counts, nil
}

func (h *memHub) Users(_ context.Context, namespace, prefix, cursor string, limit int) (page sio.NamePage, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.namespaces[namespace]
	if r == nil {
		return page, sio.ErrUnknownNamespace
	}
	users, more := r.Users(prefix, cursor, limit)
	for _, u := range users {
		page.Names = append(page.Names, sio.Named{Name: u.Name, Connections: u.Members})
	}
	if more {
		page.Next = page.Names[len(page.Names)-1].Name
	}
	return page, nil
}

func (h *memHub) Rooms(_ context.Context, namespace string, filter sio.RoomFilter, cursor string, limit int) (page sio.NamePage, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.namespaces[namespace]
	if r == nil {
		return page, sio.ErrUnknownNamespace
	}
	rooms, _ := r.Rooms(filter.Prefix, cursor, math.MaxInt)
	for _, c := range rooms {
		switch {
		case c.ID && !filter.IDs:
		case len(page.Names) == limit:
			page.Next = page.Names[limit-1].Name
			return page, nil
		default:
			page.Names = append(page.Names, sio.Named{Name: c.Name, Connections: c.Members})
		}
	}
	return page, nil
}

func (h *memHub) Namespaces(_ context.Context, prefix, cursor string, limit int) (page sio.NamePage, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(h.namespaces)) {
		switch {
		case name <= cursor || !strings.HasPrefix(name, prefix):
		case len(page.Names) == limit:
			page.Next = page.Names[limit-1].Name
			return page, nil
		default:
			r := h.namespaces[name]
			page.Names = append(page.Names, sio.Named{Name: name, Connections: r.Len(), Rooms: r.RoomCount()})
		}
	}
	return page, nil
}

// NewMemoryHub is a memHub for the contract's test, which imports this package,
// with a way to connect. The node of its connections is "node".
func NewMemoryHub(namespaces ...string) (Hub, func(namespace, user string, rooms ...string) (id string)) {
	h := newMemHub(namespaces...)
	h.node = "node"
	n := 0
	return h, func(namespace, user string, rooms ...string) string {
		n++
		id := fmt.Sprint("id", n)
		h.connect(namespace, id, user, rooms...)
		return id
	}
}
