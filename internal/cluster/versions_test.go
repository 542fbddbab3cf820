package cluster

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// later is a message with a body that this version does not know, as one of a later
// version has.
func later(request uint64) []byte {
	text := mustMarshal(&clusterv1.Message{Request: request})
	text = protowire.AppendTag(text, 1000, protowire.BytesType)
	return protowire.AppendBytes(text, []byte("something new"))
}

// TestLaterVersion: what a node of a later version asks for is answered as unsupported,
// at once, and what it tells is passed over; the rest of its messages is as any other's.
func TestLaterVersion(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 2)
	a, b := nodes[0], nodes[1]
	p := a.peer(b.Self().Epoch)
	number := a.requests.number.Add(1)
	q := a.requests.add(p, number)
	defer q.close()
	for _, message := range [][]byte{later(0), later(number)} {
		if err := a.send(t.Context(), p, message); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := q.next(t.Context())
	if err != nil || answer.GetCode() != clusterv1.Answer_UNSUPPORTED {
		t.Errorf("%v, %v", answer, err)
	}
	_, id := b.connect("/", "")
	if c, err := a.Connection(t.Context(), "/", id); err != nil || c.ID != id {
		t.Errorf("afterwards: %v", err)
	}
}

// unknowing is a node of an earlier version, which knows nothing of what it is asked.
type unknowing struct{ mesh chan *link.Mesh } // holds one

func (*unknowing) Joined(link.Peer)  {}
func (*unknowing) Changed(link.Peer) {}
func (*unknowing) Gone(link.Peer)    {}

func (u *unknowing) Receive(p link.Peer, message []byte) {
	m := &clusterv1.Message{}
	if proto.Unmarshal(message, m) != nil || m.GetRequest() == 0 {
		return
	}
	mesh := <-u.mesh
	u.mesh <- mesh
	answer := &clusterv1.Answer{Code: clusterv1.Answer_UNSUPPORTED}
	_, _ = mesh.Send(context.Background(), p.Epoch, mustMarshal(&clusterv1.Message{Request: m.GetRequest(), Body: &clusterv1.Message_Answer{Answer: answer}}))
}

// TestEarlierVersion: a node that does not know what it is asked for is named as one
// that took no part, and nobody waits for it.
func TestEarlierVersion(t *testing.T) {
	memory := bus.NewMemory()
	n := startNodes(t, memory, 1)[0]
	u := &unknowing{mesh: make(chan *link.Mesh, 1)}
	mesh, err := link.New(memory.Join("old"), link.Self{Name: "old", Epoch: "older"}, link.Options{JoinWait: -1, Logger: slog.New(slog.DiscardHandler)}, u)
	if err != nil {
		t.Fatal(err)
	}
	u.mesh <- mesh
	defer mesh.Close(context.Background())
	n.meet(1)
	n.connect("/", "", "r")
	began := time.Now()
	ctx := t.Context()
	named := func(what string, c sio.Coverage, err error) {
		t.Helper()
		if err != nil || !slices.Equal(c.Unreachable, []string{"old"}) {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	r, err := n.Apply(ctx, sio.Emit{To: everybody, Event: "e", Applied: true})
	named("an emit", r.Coverage, err)
	if r.Matched != 1 {
		t.Errorf("an emit matched %d", r.Matched)
	}
	page, err := n.Connections(ctx, everybody, "", 10)
	named("a page", page.Coverage, err)
	counts, err := n.Count(ctx, everybody, sio.GroupNone)
	named("a count", counts.Coverage, err)
	rooms, err := n.Rooms(ctx, "/", sio.RoomFilter{}, "", 10)
	named("rooms", rooms.Coverage, err)
	acks, err := n.EmitWithAck(ctx, sio.AckRequest{Emit: sio.Emit{To: everybody, Event: "e"}, Timeout: 10 * time.Millisecond}, func(sio.AckResult) bool { return true })
	named("an emit with ack", acks.Coverage, err)
	if took := time.Since(began); took > 4*time.Second { // an answer is awaited for five
		t.Errorf("it took %v", took)
	}
}
