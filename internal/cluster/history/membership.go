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

// judgeMembership judges promise 2: for each connection and room, joins and leaves are
// linearizable with the emits to the room and the listings of it at each node. A join or
// leave that names the node, or the holder of the connection, may take effect at any time.
func (h *History) judgeMembership(found func(string)) {
	rooms, nodes := map[string]bool{}, map[string]bool{}
	for _, c := range h.calls {
		nodes[c.Node] = true
		for _, room := range c.Rooms {
			rooms[room] = true
		}
	}
	for _, c := range h.connections {
		for room := range rooms {
			for node := range nodes {
				first, accesses := h.accesses(c, room, node)
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
					found(fmt.Sprintf("2: %s in %s is not linearizable, as %s sees it", c.ID, room, node))
				case porcupine.Unknown:
					found(fmt.Sprintf("2: %s in %s, as %s sees it, could not be judged within %v", c.ID, room, node, judgeTimeout))
				}
			}
		}
	}
}

// accesses returns whether the connection is in the room from the first, and all that
// tells of it since.
func (h *History) accesses(c *Connection, room, node string) (first bool, list []porcupine.Operation) {
	add := func(a access, from, to moment) {
		list = append(list, porcupine.Operation{ClientId: len(list), Input: a, Call: int64(from), Return: int64(to)})
	}
	if slices.Contains(c.Rooms, room) {
		if first = !slices.Contains(c.Unconfirmed, node); !first {
			add(access{there: true}, c.since, never)
		}
	}
	for _, call := range h.calls {
		if !slices.Contains(call.Rooms, room) || call.Refused {
			continue
		}
		end := call.end
		if call.names(c.Node) {
			end = never
		}
		switch call.Kind {
		case Join, Leave:
			if !slices.Contains(call.IDs, c.ID) {
				continue
			}
			if call.names(node) {
				end = never
			}
			add(access{there: call.Kind == Join}, call.begin, end)
		case List:
			there := slices.Contains(call.Listed, c.ID)
			if call.Node == node && (there || !call.names(c.Node) && c.during(call)) {
				add(access{read: true, there: there}, call.begin, end)
			}
		case Emit:
			if call.Node != node || call.Duplicate || call.Key != "" || len(call.Rooms) != 1 || call.All || len(call.IDs)+len(call.Users) > 0 {
				continue
			}
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
