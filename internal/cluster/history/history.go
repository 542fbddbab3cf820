package history

import (
	"slices"
	"sync"
)

// Kind says what a [Call] asked for.
type Kind int

// The kinds.
const (
	Emit  Kind = iota
	Join       // of Rooms, by the connections IDs
	Leave      // likewise
	List       // of the connections in Rooms
	Login      // as User, of the connections IDs
)

// Call is one call and its answer. Those of one Caller come one after another, at one node.
type Call struct {
	Caller string
	Node   string // the name of the node that was asked
	Kind   Kind

	// The target: everybody, or the union of the others.
	All               bool
	IDs, Rooms, Users []string

	User    string // Login: empty: of nobody
	Event   string // Emit: its name, which no other call has but those with the same Key
	Applied bool   // Emit
	Key     string // Emit: its idempotency key; empty: none

	// The answer.
	Failed      bool // there was none: it may have been done, now or later, or not
	Refused     bool // it was answered that nothing was done
	Duplicate   bool // it had been done under its Key, and the answer is that of then
	Matched     int
	Forwarded   int
	Partial     bool
	Unreachable []string
	Listed      []string // List: ids of connections

	begin, end moment // end is never while there is no answer
}

// Connection is one connection to a node.
type Connection struct {
	ID, Node, User string
	Rooms          []string // that it was admitted to
	// Unconfirmed are the nodes that may not know yet which rooms and user the holder of
	// the connection has.
	Unconfirmed []string

	since, left moment
	received    []string // events, in order
	has         map[string]int
}

// moment counts what a History was told.
type moment int64

const never = moment(1) << 60

// History is safe for concurrent use. Its zero value is empty.
type History struct {
	mu          sync.Mutex
	now         moment
	calls       []*Call
	connections []*Connection
	byID        map[string]*Connection
	deaths      []moment
}

func (h *History) tickLocked() moment { h.now++; return h.now }

// Begin records that a call is about to be made, and returns what End takes.
func (h *History) Begin(c Call) *Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.begin, c.end = h.tickLocked(), never
	h.calls = append(h.calls, &c)
	return &c
}

// End records the answer, which answered writes into the call.
func (h *History) End(c *Call, answered func(*Call)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	answered(c)
	c.end = h.tickLocked()
}

// Connected records that a connection is there.
func (h *History) Connected(c Connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.since, c.left, c.has = h.tickLocked(), never, map[string]int{}
	h.connections = append(h.connections, &c)
	if h.byID == nil {
		h.byID = map[string]*Connection{}
	}
	h.byID[c.ID] = &c
}

// Received records that a connection received an event.
func (h *History) Received(id, event string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.byID[id]
	c.received = append(c.received, event)
	c.has[event]++
}

// Leaving records that a connection is about to end. What it was sent by calls that were
// answered before has to be recorded first.
func (h *History) Leaving(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.byID[id]; c.left == never {
		c.left = h.tickLocked()
	}
}

// Dying records that a node is about to die, with its connections.
func (h *History) Dying(node string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.tickLocked()
	h.deaths = append(h.deaths, now)
	for _, c := range h.connections {
		if c.Node == node && c.left == never {
			c.left = now
		}
	}
}

// Calls returns how many calls there were.
func (h *History) Calls() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// Judge returns what is not as promised, one finding each; none: all is. It is called
// when everything has ended.
func (h *History) Judge() (findings []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := func(finding string) { findings = append(findings, finding) }
	h.judgeOrder(found)
	h.judgeMembership(found)
	h.judgeApplied(found)
	h.judgeKeys(found)
	return findings
}

// names reports whether the answer may lack what the node would have said.
func (c *Call) names(node string) bool {
	return c.Failed || c.end == never || slices.Contains(c.Unreachable, node)
}

// during reports whether the connection was there from the beginning of the call to its end.
func (c *Connection) during(call *Call) bool { return c.since < call.begin && call.end < c.left }
