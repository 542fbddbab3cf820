// Command capacity computes what emits cost the bus of a cluster that is too large to be
// run on one machine.
//
//	go run ./capacity
//
// It fills the bitmaps by which nodes know each other's rooms and users, with the code of
// the daemon, for clusters of up to ten million connections that a balancer has spread at
// random, and counts to how many other nodes emits would go. It takes a minute or two, and
// gives the same numbers each time.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/fanoutd/fanoutd/internal/cluster/interest"
)

// samples is how many rooms, and how many users, are emitted to.
const samples = 20_000

// layout is a cluster: each of its connections is in one room.
type layout struct {
	nodes       int
	connections int  // of all nodes
	members     int  // of each room
	users       bool // each connection has a user of its own
}

func main() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "nodes\tconnections\tmembers of a room\tusers\tnames of a node\tbits set\tbytes told\tnodes with members\tmessages, room\tmessages, user\t")
	for _, size := range []struct{ nodes, connections int }{
		{3, 30_000}, {3, 300_000}, {10, 1_000_000}, {40, 10_000_000}, {100, 1_000_000}, {100, 10_000_000},
	} {
		for _, members := range []int{2, 10, 1000} {
			for _, users := range []bool{false, true} {
				l := layout{nodes: size.nodes, connections: size.connections, members: members, users: users}
				if err := l.report(w); err != nil {
					log.Fatal(err)
				}
			}
		}
	}
	w.Flush()
}

// report writes the cluster's row of the table.
func (l layout) report(w *tabwriter.Writer) error {
	sets, names, told, err := l.fill()
	if err != nil {
		return err
	}
	needed, toRoom, err := l.emitToRooms(sets)
	if err != nil {
		return err
	}
	toUser := "-"
	if l.users {
		sent, err := l.emitToUsers(sets)
		if err != nil {
			return err
		}
		toUser = fmt.Sprintf("%.2f", sent)
	}
	fmt.Fprintf(w, "%d\t%d\t%d\t%t\t%d\t%.1f %%\t%d\t%.2f\t%.2f\t%s\t\n",
		l.nodes, l.connections, l.members, l.users, names, 100*shareOfBits(sets[0]), told, needed, toRoom, toUser)
	return nil
}

// fill returns what each node has told the others, how many names the first has, and how
// many bytes it took to tell them.
func (l layout) fill() (sets []*interest.Set, names, told int, err error) {
	locals := make([]*interest.Local, l.nodes)
	for n := range locals {
		locals[n] = interest.NewLocal()
		locals[n].Add(interest.Namespace, "/", "")
	}
	names = 1
	for room := range l.rooms() {
		for node, has := range l.nodesOf(room) {
			if !has {
				continue
			}
			locals[node].Add(interest.Room, "/", roomName(room))
			if node == 0 {
				names++
			}
		}
	}
	for connection := range l.connections {
		if !l.users {
			break
		}
		node := l.nodeOf(connection)
		locals[node].Add(interest.User, "/", userName(connection))
		if node == 0 {
			names++
		}
	}
	for n, local := range locals {
		local.TakeChanges() // Full is as they were told
		full := local.Full()
		if n == 0 {
			told = len(full)
		}
		set := interest.NewSet()
		if err := set.Apply(full); err != nil {
			return nil, 0, 0, err
		}
		sets = append(sets, set)
	}
	return sets, names, told, nil
}

// emitToRooms returns how many other nodes have members of a room, and how many an emit
// goes to, in the mean of the samples.
func (l layout) emitToRooms(sets []*interest.Set) (needed, sent float64, err error) {
	for sample := range samples {
		room := scatter(1, sample) % l.rooms()
		from := scatter(2, sample) % l.nodes
		for node, has := range l.nodesOf(room) {
			if node == from {
				continue
			}
			told := sets[node].Has(interest.Room, "/", roomName(room))
			if has {
				needed++
			}
			if told {
				sent++
			} else if has {
				return 0, 0, fmt.Errorf("node %d has members of room %d, and the others do not know", node, room)
			}
		}
	}
	return needed / samples, sent / samples, nil
}

// emitToUsers returns how many other nodes an emit to a user goes to, in the mean.
func (l layout) emitToUsers(sets []*interest.Set) (sent float64, err error) {
	for sample := range samples {
		connection := scatter(3, sample) % l.connections
		from := scatter(4, sample) % l.nodes
		for node, set := range sets {
			if node == from {
				continue
			}
			if set.Has(interest.User, "/", userName(connection)) {
				sent++
			} else if node == l.nodeOf(connection) {
				return 0, fmt.Errorf("node %d has user %d, and the others do not know", node, connection)
			}
		}
	}
	return sent / samples, nil
}

func (l layout) rooms() int { return l.connections / l.members }

// nodesOf tells which nodes have members of a room.
func (l layout) nodesOf(room int) []bool {
	has := make([]bool, l.nodes)
	for member := range l.members {
		has[l.nodeOf(room*l.members+member)] = true
	}
	return has
}

func (l layout) nodeOf(connection int) int { return scatter(0, connection) % l.nodes }

func roomName(room int) string       { return "room " + strconv.Itoa(room) }
func userName(connection int) string { return "user " + strconv.Itoa(connection) }

// shareOfBits estimates the share of a set's bits that are set by names that nobody has.
func shareOfBits(set *interest.Set) float64 {
	found := 0
	for n := range samples {
		if set.Has(interest.Room, "/", "nobody "+strconv.Itoa(n)) {
			found++
		}
	}
	return float64(found) / samples
}

// scatter is a number that looks random, the same each time (SplitMix64).
func scatter(stream, n int) int {
	h := uint64(stream)<<56 + uint64(n)*0x9e3779b97f4a7c15 //nolint:gosec // it is to wrap
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return int((h ^ h>>31) >> 1) //nolint:gosec // 63 bits
}
