package dispatch

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

var (
	// ErrBadID: what was given is no delivery id.
	ErrBadID = errors.New("not a delivery id")
	// ErrNoReply: the event awaits no reply: it asked for none, it was answered,
	// or its connection is gone.
	ErrNoReply = errors.New("the event awaits no reply (any more)")
)

// client is what is known of one connection.
type client struct {
	socket *sio.Socket
	view   *view
	epoch  string // see Event.Epoch
	// Only touched by the sio.Backend calls of this connection, which come one
	// at a time.
	user string

	// Set before the connection is in the roster, and read by those who found it
	// there, or were handed it since.
	connected uint64 // sequence of its Connected; 0: it is no member yet
	since     int64  // when that was, ns since 1970
	place     rosterPlace

	mu       sync.Mutex
	awaiting []awaited // in the order of their sequence
	lost     []string  // groups that were told that it is lost, and not yet that it is not
}

// awaited is an event whose browser waits for a reply.
type awaited struct{ sequence, ack uint64 }

// userNow returns whose the connection is.
func (c *client) userNow() string {
	if user, known := c.socket.User(); known {
		return user
	}
	return c.user
}

func (c *client) event(k Kind) *Event {
	e := &Event{
		Kind: k, Namespace: c.socket.Namespace(), ConnectionID: c.socket.ID(), Epoch: c.epoch, UserID: c.userNow(),
		Sequence: c.socket.Number(), ReceivedAt: time.Now(),
	}
	if k == Message {
		e.view = c.view
	} else {
		v := c.socket.Connection()
		if v.UserID == "" { // it may never have become a member
			v.UserID = e.UserID
		}
		e.Connection = &v
	}
	e.measure()
	return e
}

// existing returns its Connected for a group that did not hear of it when it came.
func (c *client) existing() *Event {
	e := &Event{
		Kind: Connected, Namespace: c.socket.Namespace(), ConnectionID: c.socket.ID(), Epoch: c.epoch, UserID: c.userNow(),
		Sequence: c.connected, ReceivedAt: time.Unix(0, c.since), Existing: true, view: c.view,
	}
	e.measure()
	return e
}

// returned returns its Connected for a group that was told that it is lost.
func (c *client) returned() *Event {
	e := &Event{
		Kind: Connected, Namespace: c.socket.Namespace(), ConnectionID: c.socket.ID(), Epoch: c.epoch, UserID: c.userNow(),
		Sequence: c.socket.Number(), ReceivedAt: time.Now(), view: c.view, returned: true,
	}
	e.measure()
	return e
}

// loseTo notes that a group was told that it is lost.
func (c *client) loseTo(group string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.lost, group) {
		c.lost = append(c.lost, group)
	}
}

// lostTo reports whether that is the last that the group was told.
func (c *client) lostTo(group string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.lost, group)
}

// foundBy notes that the group is told that it is not.
func (c *client) foundBy(group string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = slices.DeleteFunc(c.lost, func(g string) bool { return g == group })
}

// await notes that the event takes a reply.
func (c *client) await(sequence, ack uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.awaiting) >= maxAwaiting {
		c.awaiting = slices.Delete(c.awaiting, 0, 1)
	}
	i, _ := slices.BinarySearchFunc(c.awaiting, sequence, bySequence)
	c.awaiting = slices.Insert(c.awaiting, i, awaited{sequence, ack})
}

func bySequence(a awaited, sequence uint64) int { return cmp.Compare(a.sequence, sequence) }

// answered takes the event off the list and returns its ack id; false: it was
// not on it.
func (c *client) answered(sequence uint64) (ack uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := slices.BinarySearchFunc(c.awaiting, sequence, bySequence)
	if !ok {
		return 0, false
	}
	ack = c.awaiting[i].ack
	c.awaiting = slices.Delete(c.awaiting, i, i+1)
	return ack, true
}

// Reply answers the browser's ack callback of an event, of these namespaces: names and
// patterns; empty: all. One reply wins. args is the text of a JSON array, checked by the
// caller. Errors: [ErrBadID], [ErrNoReply], of another namespace too, and
// [sio.ErrTooLarge], after which the browser still waits.
func (d *Dispatcher) Reply(id string, namespaces []string, args []byte, attachments [][]byte) error {
	e, ok := parseID(id)
	if !ok {
		return ErrBadID
	}
	c := d.client(e.connection)
	if c == nil || e.replay > 0 {
		return ErrNoReply
	}
	if within := newNamespaceSet(namespaces); !within.contains(c.socket.Namespace()) {
		return ErrNoReply
	}
	ack, ok := c.answered(e.sequence)
	if !ok {
		return ErrNoReply
	}
	if err := c.socket.Ack(ack, args, attachments); err != nil {
		c.await(e.sequence, ack)
		return err
	}
	return nil
}
