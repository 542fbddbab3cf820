package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
)

// TestBlocksUnderFaults: while nodes are cut off from each other, stop, and come back with
// the disks that they had, whoever answers that a change is everywhere tells the truth; and
// when all is over every node knows the latest of each user.
func TestBlocksUnderFaults(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { blocksUnderFaults(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func blocksUnderFaults(t *testing.T, r *rand.Rand) {
	memory, all := bus.NewMemory(), disks{}
	nodes := startNodes(t, memory, 3, all.keep(t)) // with nil where one is stopped
	latest := map[string]bool{}                    // users: whether they are blocked
	cut := map[[2]string]bool{}
	epochs := len(nodes)
	name := func(i int) string { return fmt.Sprint("n", i+1) }
	for range 80 {
		i := r.IntN(len(nodes))
		switch n := nodes[i]; r.IntN(10) {
		case 0: // one direction of a route, or back
			pair := [2]string{name(i), name((i + 1 + r.IntN(2)) % 3)}
			if cut[pair] = !cut[pair]; cut[pair] {
				memory.Cut(pair[0], pair[1])
			} else {
				memory.Heal(pair[0], pair[1])
			}
		case 1:
			if n != nil {
				n.stop()
				nodes[i] = nil
			}
		case 2:
			if n == nil {
				epochs++
				nodes[i] = startNode(t, memory, name(i), fmt.Sprintf("epo%02d", epochs), all.keep(t))
			}
		case 3:
			time.Sleep(time.Duration(r.IntN(90)) * time.Second)
		default:
			if n == nil {
				continue
			}
			user := fmt.Sprint("u", r.IntN(6))
			change, blocked := n.mustUnblock, r.IntN(2) == 0
			if blocked {
				change = n.mustBlock
			}
			met := n.all()
			missed := change(user).Unreachable
			latest[user] = blocked
			for _, other := range nodes {
				if other == nil || other != n && !slices.ContainsFunc(met, func(p *peer) bool { return p.epoch == other.Self().Epoch }) {
					continue // taken for gone, as it is cut off for so long, or just met: then it pulls
				}
				if !slices.Contains(missed, other.Self().Name) && keepsOut(other, user) != blocked {
					t.Errorf("%s, blocked: %v, at %s is answered, and not so at %s; unreachable: %v", user, blocked, n.Self().Name, other.Self().Name, missed)
				}
			}
			time.Sleep(time.Millisecond) // so that no two have one stamp
		}
	}
	for pair, is := range cut {
		if is {
			memory.Heal(pair[0], pair[1])
		}
	}
	for i := range nodes {
		if nodes[i] == nil {
			epochs++
			nodes[i] = startNode(t, memory, name(i), fmt.Sprintf("epo%02d", epochs), all.keep(t))
		}
	}
	time.Sleep(3 * pullEvery)
	synctest.Wait()
	for _, n := range nodes {
		for user, blocked := range latest {
			if keepsOut(n, user) != blocked {
				t.Errorf("in the end %s is not blocked: %v at %s", user, blocked, n.Self().Name)
			}
		}
		if n.opts.Blocks.Digest() != nodes[0].opts.Blocks.Digest() {
			t.Errorf("%s and %s know differently", n.Self().Name, nodes[0].Self().Name)
		}
	}
}

// A node that was paused suspects nobody when it goes on: that it has missed something the
// others know, who suspected it.
func TestBlocksMissedWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 2, disks{}.keep(t))
		synctest.Wait()
		one := (*handler)(nodes[0].Node)
		two := nodes[0].peer(nodes[1].Self().Epoch)
		began := time.Now()
		one.Changed(link.Peer{Self: link.Self{Epoch: two.epoch}, State: link.Suspected})
		if r := nodes[0].mustBlock("missed"); !slices.Contains(r.Unreachable, two.name) || keepsOut(nodes[1], "missed") {
			t.Fatalf("not missed: %+v", r)
		}
		one.Changed(link.Peer{Self: link.Self{Epoch: two.epoch}, State: link.Alive})
		synctest.Wait()
		if !keepsOut(nodes[1], "missed") || time.Since(began) >= pullEvery {
			t.Errorf("after %v: %v", time.Since(began), keepsOut(nodes[1], "missed"))
		}
		pages := [2]uint64{nodes[0].blockPages.Load(), nodes[1].blockPages.Load()}
		time.Sleep(pullEvery - time.Second)
		synctest.Wait()
		if now := [2]uint64{nodes[0].blockPages.Load(), nodes[1].blockPages.Load()}; now != pages {
			t.Errorf("they ask each other again and again: %d pages, then %d", pages, now)
		}
	})
}

// keepsOut reports whether the user is blocked at the node, and that its list says so too.
func keepsOut(n *testNode, user string) bool {
	page, _, _ := n.BlockPage(blocks.Filter{UserPrefix: user}, nil, 10)
	if listed := len(page) == 1; listed != n.opts.Blocks.User(user) {
		n.t.Errorf("%s: %s is listed: %v, and blocked: %v", n.Self().Name, user, listed, !listed)
	}
	return len(page) == 1
}
