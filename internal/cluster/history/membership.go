package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// access is one step of a connection's membership in a room, as one node sees it.
type access struct {
	read  bool
	there bool // what was read, or is written
}

// judgeTimeout is how long one connection's membership in one room is looked at.
const judgeTimeout = 20 * time.Second

// set is what a connection is a member of: a room, or the connections of a user.
type set struct {
	name string
	user bool
}

func (s set) String() string {
	if s.user {
		return "the connections of " + s.name
	}
	return s.name
}

// sets returns all that calls tell of.
func (h *History) sets() map[set]bool {
	all := map[set]bool{}
	for _, c := range h.calls {
		for _, room := range c.Rooms {
			all[set{name: room}] = true
		}
		for _, user := range c.Users {
			all[set{user, true}] = true
		}
	}
	return all
}

// begins reports whether the connection is a member from the first.
func (s set) begins(c *Connection) bool {
	if s.user {
		return c.User == s.name
	}
	return slices.Contains(c.Rooms, s.name)
}

// changes reports whether the call makes its connections members, or no members; known is
// false if it does neither.
func (s set) changes(call *Call) (there, known bool) {
	switch {
	case s.user:
		return call.User == s.name, call.Kind == Login
	case !slices.Contains(call.Rooms, s.name):
		return false, false
	}
	return call.Kind == Join, call.Kind == Join || call.Kind == Leave
}

// means reports whether an Emit is for the members and for nobody else.
func (s set) means(call *Call) bool {
	names, others := call.Rooms, call.Users
	if s.user {
		names, others = others, names
	}
	return !call.All && len(call.IDs)+len(others) == 0 && len(names) == 1 && names[0] == s.name
}

// judgeMembership judges promise 2: for each connection and room, joins and leaves are
// linearizable with the emits to the room and the listings of it at each node; and for
// each connection and user, logins with the emits to the user. What changes that and names
// the node, or the holder of the connection, may take effect at any time.
func (h *History) judgeMembership(found func(string)) {
	nodes := map[string]bool{}
	for _, c := range h.calls {
		nodes[c.Node] = true
	}
	for _, c := range h.connections {
		for set := range h.sets() {
			if set.user && !h.logsIn(c) {
				continue // it is one user's all the while, which promise 3 covers
			}
			for node := range nodes {
				first, accesses := h.accesses(c, set, node)
				model := porcupine.Model{
					Init: func() any { return first },
					Step: func(state, in, _ any) (bool, any) {
						a := in.(access)
						if a.read {
							return state == a.there, state
						}
						return true, a.there
					},
				}
				switch porcupine.CheckOperationsTimeout(model, accesses, judgeTimeout) {
				case porcupine.Illegal:
					found(fmt.Sprintf("2: %s in %s is not linearizable, as %s sees it", c.ID, set, node))
				case porcupine.Unknown:
					found(fmt.Sprintf("2: %s in %s, as %s sees it, could not be judged within %v", c.ID, set, node, judgeTimeout))
				}
			}
		}
	}
}

// accesses returns whether the connection is in the set from the first, and all that
// tells of it since.
func (h *History) accesses(c *Connection, s set, node string) (first bool, list []porcupine.Operation) {
	add := func(a access, from, to moment) {
		list = append(list, porcupine.Operation{ClientId: len(list), Input: a, Call: int64(from), Return: int64(to)})
	}
	if s.begins(c) {
		if first = !slices.Contains(c.Unconfirmed, node); !first {
			add(access{there: true}, c.since, never)
		}
	}
	for _, call := range h.calls {
		if call.Refused {
			continue
		}
		end := call.end
		if call.names(c.Node) {
			end = never
		}
		if there, known := s.changes(call); known && slices.Contains(call.IDs, c.ID) {
			if call.names(node) {
				end = never
			}
			add(access{there: there}, call.begin, end)
			continue
		}
		if call.Node != node {
			continue
		}
		switch {
		case call.Kind == List && !s.user && slices.Contains(call.Rooms, s.name):
			there := slices.Contains(call.Listed, c.ID)
			if there || !call.names(c.Node) && c.during(call) {
				add(access{read: true, there: there}, call.begin, end)
			}
		case call.Kind == Emit && s.means(call) && !call.Duplicate && call.Key == "":
			switch there := c.has[call.Event] > 0; {
			case there && !call.Applied:
				add(access{read: true, there: true}, call.begin, never)
			case there, call.Applied && !call.names(c.Node) && c.during(call):
				add(access{read: true, there: there}, call.begin, end)
			}
		}
	}
	return first, list
}
