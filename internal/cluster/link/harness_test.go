package link

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// history judges what a node receives: from each peer, in each run from Joined to Gone,
// numbers that follow each other, and never one that came before.
type history struct {
	mu     sync.Mutex
	node   string
	from   map[string]*received // by epoch
	faults []string
	hold   func(p Peer, message []byte) // called by Receive, if it is set
}

type received struct {
	there   bool
	runs    int
	last    uint64 // received, in any run
	first   bool   // nothing was received in this run
	states  []State
	numbers int // messages, in all runs
}

func (h *history) faultLocked(format string, args ...any) {
	if len(h.faults) < 20 {
		h.faults = append(h.faults, h.node+": "+fmt.Sprintf(format, args...))
	}
}

func (h *history) of(p Peer) *received {
	r := h.from[p.Epoch]
	if r == nil {
		r = &received{}
		h.from[p.Epoch] = r
	}
	return r
}

func (h *history) Joined(p Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.of(p)
	if r.there {
		h.faultLocked("%s joined twice", p.Name)
	}
	r.there, r.first = true, true
	r.runs++
}

func (h *history) Gone(p Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.of(p)
	if !r.there {
		h.faultLocked("%s is gone and was not there", p.Name)
	}
	r.there = false
}

func (h *history) Changed(p Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.of(p)
	r.states = append(r.states, p.State)
}

func (h *history) Receive(p Peer, message []byte) {
	if h.hold != nil {
		h.hold(p, message)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.of(p)
	n := binary.BigEndian.Uint64(message)
	switch {
	case !r.there:
		h.faultLocked("%s is not there and says %d", p.Name, n)
	case n <= r.last:
		h.faultLocked("%s says %d after %d", p.Name, n, r.last)
	case !r.first && n != r.last+1:
		h.faultLocked("%s says %d after %d: some are missing", p.Name, n, r.last)
	}
	for i, b := range message[8:] {
		if b != byte(n) {
			h.faultLocked("byte %d of message %d is %d", i, n, b)
			break
		}
	}
	r.last, r.first = n, false
	r.numbers++
}

// got returns what was received from a peer so far.
func (h *history) got(epoch string) received {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.from[epoch]; r != nil {
		return *r
	}
	return received{}
}

// node is one end of links under test, which numbers what it sends.
type node struct {
	*Mesh
	*history
	mu   sync.Mutex
	sent map[string]uint64 // by epoch
}

func newNode(t *testing.T, m *bus.Memory, name, epoch string, o Options) *node {
	t.Helper()
	n := &node{history: &history{node: name, from: map[string]*received{}}, sent: map[string]uint64{}}
	if o.JoinWait == 0 {
		o.JoinWait = -1
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if n.Mesh, err = New(m.Join(name), Self{Name: name, Epoch: epoch, Version: "v"}, o, n.history); err != nil {
		t.Fatal(err)
	}
	return n
}

// newNodes starts nodes n1, n2 and so on, and waits until they know each other.
func newNodes(t *testing.T, m *bus.Memory, number int, o Options) []*node {
	t.Helper()
	nodes := make([]*node, number)
	for i := range nodes {
		nodes[i] = newNode(t, m, fmt.Sprint("n", i+1), fmt.Sprintf("epoc%d", i+1), o)
	}
	time.Sleep(2 * time.Second)
	return nodes
}

// say sends the next number to a peer, with size bytes behind it.
func (n *node) say(ctx context.Context, epoch string, size int) (Position, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	number := n.sent[epoch] + 1
	message := binary.BigEndian.AppendUint64(make([]byte, 0, 8+size), number)
	for range size {
		message = append(message, byte(number))
	}
	at, err := n.Send(ctx, epoch, message)
	if err == nil {
		n.sent[epoch] = number
	}
	return at, err
}

func (n *node) said(epoch string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent[epoch]
}

// check fails the test for what the nodes' histories found, and closes the nodes.
func check(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = n.Close(ctx)
		cancel()
		n.history.mu.Lock()
		for _, f := range n.faults {
			t.Error(f)
		}
		n.history.mu.Unlock()
	}
}

// faulty drops, doubles and delays one message in three.
func faulty(seed uint64) func(from, to, subject string, payload []byte) bus.Verdict {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func(string, string, string, []byte) bus.Verdict {
		mu.Lock()
		defer mu.Unlock()
		var v bus.Verdict
		switch random.IntN(12) {
		case 0:
			v.Drop = true
		case 1:
			v.Double = true
		case 2:
			v.Delay = time.Duration(random.IntN(100)) * time.Millisecond
		case 3:
			v.HoldBack = time.Duration(random.IntN(100)) * time.Millisecond
		}
		return v
	}
}
