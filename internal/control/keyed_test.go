package control

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/cluster/clustertest"
	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// keyedWorld has a browser, whom the nodes may do something to, each through an API of its
// own.
type keyedWorld struct {
	t      *testing.T
	nodes  []*clustertest.Node
	conns  []*grpc.ClientConn // one to each
	id     string             // of the browser's connection
	gone   atomic.Bool        // it was disconnected
	events atomic.Int32       // that it has received

	published atomic.Int32 // messages that a worker at the first node has received
}

func newKeyedWorld(t *testing.T, nodes int) *keyedWorld {
	t.Helper()
	w := &keyedWorld{t: t, nodes: clustertest.Start(t, nodes, clustertest.Options{Sockets: sio.Options{Namespaces: []string{"/", "/chat"}}})}
	t.Cleanup(func() {
		for _, n := range w.nodes {
			n.Stop()
		}
	})
	for _, n := range w.nodes {
		_, conn := dial(t, n, Options{Dispatcher: ClusterDispatcherOf(n.Consumers), Keys: n, Blocks: n})
		w.conns = append(w.conns, conn)
	}
	w.connect()
	w.listen()
	time.Sleep(idempotency.TTL + time.Second) // until no key may have moved
	return w
}

// connect has the browser come to the first node.
func (w *keyedWorld) connect() {
	w.t.Helper()
	var c *wiretest.WS
	c, w.id = w.nodes[0].Browsers.Connect(w.t, "")
	w.gone.Store(false)
	go func() {
		for {
			_, m, err := c.ReadMessage()
			switch {
			case err != nil:
				return
			case string(m) == "41":
				w.gone.Store(true)
			case string(m) == "2":
				c.SayLater("3")
			case strings.HasPrefix(string(m), "42"):
				w.events.Add(1)
			}
		}
	}()
	synctest.Wait()
}

// listen has a worker join at the first node for the messages of a topic.
func (w *keyedWorld) listen() {
	w.t.Helper()
	s, err := fanoutv1.NewEventServiceClient(w.conns[0]).Consume(w.t.Context())
	if err == nil {
		err = s.Send(opening(&fanoutv1.ConsumeRequest_Open{Group: "g", ConsumerId: "k", Topics: []string{"t"}, NoEvents: true}))
	}
	if err == nil {
		_, err = s.Recv() // ready
	}
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		for {
			m, err := s.Recv()
			if err != nil {
				return
			}
			if m.GetPublished() != nil {
				w.published.Add(1)
			}
		}
	}()
}

// call calls an RPC of the first node that does something whatever came of keys.
func (w *keyedWorld) call(method string, req proto.Message, resp proto.Message) {
	w.t.Helper()
	if err := w.conns[0].Invoke(w.t.Context(), "/fanout.v1."+method, req, resp); err != nil {
		w.t.Fatalf("%s: %v", method, err)
	}
}

// state is all that the changes of the table change.
func (w *keyedWorld) state() string {
	w.t.Helper()
	synctest.Wait()
	blocked := &fanoutv1.ListBlocksResponse{}
	w.call("RegistryService/ListBlocks", &fanoutv1.ListBlocksRequest{}, blocked)
	s := fmt.Sprint("events ", w.events.Load(), ", published ", w.published.Load(), ", gone ", w.gone.Load(), ", blocks ", len(blocked.GetBlocks()))
	if w.gone.Load() {
		return s
	}
	got := &fanoutv1.GetConnectionResponse{}
	w.call("RegistryService/GetConnection", &fanoutv1.GetConnectionRequest{Id: w.id}, got)
	c := got.GetConnection()
	return fmt.Sprint(s, ", rooms ", len(c.GetRooms()), ", in r ", slices.Contains(c.GetRooms(), "r"), ", data ", c.GetData().AsMap(), ", user ", c.GetUserId())
}

// keyedChanges are the changes that may have an idempotency key: each with what makes it
// one that a repetition would be seen by.
var keyedChanges = []struct {
	method  string
	request func(w *keyedWorld) proto.Message
	before  func(w *keyedWorld) // nil: nothing has to be there
	undo    func(w *keyedWorld) // nil: each time it is done shows
}{
	{method: "EmitterService/Emit", request: func(*keyedWorld) proto.Message { return &fanoutv1.EmitRequest{To: toAll(), Event: "e"} }},
	{method: "EventService/Publish", request: func(*keyedWorld) proto.Message { return &fanoutv1.PublishRequest{Topic: "t", All: true} }},
	{method: "RegistryService/Join", request: keyedJoin, undo: func(w *keyedWorld) { w.leave() }},
	{
		method:  "RegistryService/Leave",
		request: func(*keyedWorld) proto.Message { return &fanoutv1.LeaveRequest{To: toAll(), Rooms: []string{"r"}} },
		before:  func(w *keyedWorld) { w.join() }, undo: func(w *keyedWorld) { w.join() },
	},
	{
		method: "RegistryService/UpdateConnection",
		request: func(w *keyedWorld) proto.Message {
			user := "u1"
			return &fanoutv1.UpdateConnectionRequest{Id: w.id, DataJson: `{"a":1}`, UserId: &user}
		},
		before: func(w *keyedWorld) { w.update() }, undo: func(w *keyedWorld) { w.update() },
	},
	{
		method: "RegistryService/UpdateConnections",
		request: func(*keyedWorld) proto.Message {
			user := "u2"
			return &fanoutv1.UpdateConnectionsRequest{To: toAll(), DataJson: `{"a":2}`, UserId: &user}
		},
		before: func(w *keyedWorld) { w.update() }, undo: func(w *keyedWorld) { w.update() },
	},
	{
		method: "RegistryService/Disconnect", request: func(*keyedWorld) proto.Message { return &fanoutv1.DisconnectRequest{To: toAll()} },
		undo: func(w *keyedWorld) { w.connect() },
	},
	{
		method: "RegistryService/Block", request: func(*keyedWorld) proto.Message { return &fanoutv1.BlockRequest{Users: []string{"42"}} },
		undo: func(w *keyedWorld) { w.unblock() },
	},
	{
		method: "RegistryService/Unblock", request: func(*keyedWorld) proto.Message { return &fanoutv1.UnblockRequest{Users: []string{"42"}} },
		before: func(w *keyedWorld) { w.block() }, undo: func(w *keyedWorld) { w.block() },
	},
}

func keyedJoin(*keyedWorld) proto.Message {
	return &fanoutv1.JoinRequest{To: toAll(), Rooms: []string{"r"}}
}

func (w *keyedWorld) join() {
	w.call("RegistryService/Join", keyedJoin(w), &fanoutv1.JoinResponse{})
}

func (w *keyedWorld) leave() {
	w.call("RegistryService/Leave", &fanoutv1.LeaveRequest{To: toAll(), Rooms: []string{"r"}}, &fanoutv1.LeaveResponse{})
}

func (w *keyedWorld) update() {
	user := ""
	w.call("RegistryService/UpdateConnections", &fanoutv1.UpdateConnectionsRequest{To: toAll(), DataJson: `{"a":3}`, UserId: &user}, &fanoutv1.UpdateConnectionsResponse{})
}

func (w *keyedWorld) block() {
	w.call("RegistryService/Block", &fanoutv1.BlockRequest{Users: []string{"42"}}, &fanoutv1.BlockResponse{})
}

func (w *keyedWorld) unblock() {
	w.call("RegistryService/Unblock", &fanoutv1.UnblockRequest{Users: []string{"42"}}, &fanoutv1.UnblockResponse{})
}

// keyedWays are the ways to ask for a change: by its own RPC, or in another.
var keyedWays = []struct {
	name string
	can  func(req proto.Message) bool // nil: any
	do   func(w *keyedWorld, node int, method string, req proto.Message) (duplicate bool, err error)
}{
	{"its own RPC", nil, (*keyedWorld).byItself},
	{"Batch", isOperation, (*keyedWorld).byBatch},
	{"Execute", isOperation, (*keyedWorld).byExecute},
	{"EmitBatch", isEmit, (*keyedWorld).byEmitBatch},
	{"EmitStream", isEmit, (*keyedWorld).byEmitStream},
}

func isEmit(req proto.Message) bool {
	_, ok := req.(*fanoutv1.EmitRequest)
	return ok
}

func isOperation(req proto.Message) bool { return toOperation(req) != nil }

// toOperation is a request as an operation of Batch and Execute; nil: it is none.
func toOperation(req proto.Message) *fanoutv1.Operation {
	op := &fanoutv1.Operation{}
	kinds := op.ProtoReflect().Descriptor().Oneofs().ByName("operation").Fields()
	for i := range kinds.Len() {
		if f := kinds.Get(i); f.Message().FullName() == req.ProtoReflect().Descriptor().FullName() {
			op.ProtoReflect().Set(f, protoreflect.ValueOfMessage(req.ProtoReflect()))
			return op
		}
	}
	return nil
}

// isDuplicate reads the field of an answer.
func isDuplicate(answer protoreflect.Message) bool {
	return answer.Get(answer.Descriptor().Fields().ByName("duplicate")).Bool()
}

// errorOf is a status in an answer as an error.
func errorOf(s *fanoutv1.Status) error {
	return status.ErrorProto(&spb.Status{Code: s.GetCode(), Message: s.GetMessage(), Details: s.GetDetails()})
}

func (w *keyedWorld) byItself(node int, method string, req proto.Message) (bool, error) {
	service, rpc, _ := strings.Cut(method, "/")
	var of protoreflect.ServiceDescriptor
	for _, f := range []protoreflect.FileDescriptor{fanoutv1.File_fanout_v1_registry_proto, fanoutv1.File_fanout_v1_emitter_proto, fanoutv1.File_fanout_v1_event_proto} {
		if s := f.Services().ByName(protoreflect.Name(service)); s != nil {
			of = s
		}
	}
	resp := dynamicpb.NewMessage(of.Methods().ByName(protoreflect.Name(rpc)).Output())
	err := w.conns[node].Invoke(w.t.Context(), "/fanout.v1."+method, req, resp)
	return isDuplicate(resp.ProtoReflect()), err
}

func ofResult(r *fanoutv1.OperationResult) (bool, error) {
	if r.GetStatus().GetCode() != 0 {
		return false, errorOf(r.GetStatus())
	}
	m := r.ProtoReflect()
	return isDuplicate(m.Get(m.WhichOneof(m.Descriptor().Oneofs().ByName("answer"))).Message()), nil
}

func (w *keyedWorld) byBatch(node int, _ string, req proto.Message) (bool, error) {
	resp, err := fanoutv1.NewEmitterServiceClient(w.conns[node]).Batch(w.t.Context(), &fanoutv1.BatchRequest{Operations: []*fanoutv1.Operation{toOperation(req)}})
	if err != nil {
		return false, err
	}
	return ofResult(resp.GetResults()[0])
}

func (w *keyedWorld) byExecute(node int, _ string, req proto.Message) (bool, error) {
	s, err := fanoutv1.NewEmitterServiceClient(w.conns[node]).Execute(w.t.Context())
	if err != nil {
		return false, err
	}
	command := &fanoutv1.ExecuteRequest_Command{Sequence: 1, Operation: toOperation(req)}
	if err := errors.Join(s.Send(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Command_{Command: command}}), s.CloseSend()); err != nil {
		return false, err
	}
	var result *fanoutv1.OperationResult
	for {
		m, err := s.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return ofResult(result)
		case err != nil:
			return false, err
		}
		for _, r := range m.GetResults() {
			result = r.GetResult()
		}
	}
}

func (w *keyedWorld) byEmitBatch(node int, _ string, req proto.Message) (bool, error) {
	resp, err := fanoutv1.NewEmitterServiceClient(w.conns[node]).EmitBatch(w.t.Context(), &fanoutv1.EmitBatchRequest{Emits: []*fanoutv1.EmitRequest{req.(*fanoutv1.EmitRequest)}})
	if err != nil {
		return false, err
	}
	r := resp.GetResults()[0]
	return r.GetResponse().GetDuplicate(), errorOf(r.GetStatus())
}

// byEmitStream tells of no duplicates: whoever is not told of an error is answered.
func (w *keyedWorld) byEmitStream(node int, _ string, req proto.Message) (bool, error) {
	s, err := fanoutv1.NewEmitterServiceClient(w.conns[node]).EmitStream(w.t.Context())
	if err != nil {
		return false, err
	}
	if err := errors.Join(s.Send(&fanoutv1.EmitStreamRequest{Sequence: 1, Emit: req.(*fanoutv1.EmitRequest)}), s.CloseSend()); err != nil {
		return false, err
	}
	var refused error
	for {
		m, err := s.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return false, refused
		case err != nil:
			return false, err
		}
		for _, e := range m.GetErrors() {
			refused = errorOf(e.GetStatus())
		}
	}
}

// withKey returns a copy of a request with this key.
func withKey(req proto.Message, key string) proto.Message {
	req = proto.Clone(req)
	req.ProtoReflect().Set(req.ProtoReflect().Descriptor().Fields().ByName("idempotency_key"), protoreflect.ValueOfString(key))
	return req
}

// keyOf returns a new key that belongs to this node, which does not answer: nothing is
// done under it.
func (w *keyedWorld) keyOf(node string, n *int) string {
	w.t.Helper()
	for {
		*n++
		key := fmt.Sprint("probe ", *n)
		_, _, err := w.nodes[0].Once(w.t.Context(), idempotency.Key{Key: key}, idempotency.Fingerprint{}, func() (sio.Result, error) { return sio.Result{}, nil })
		if away := (*sio.UnreachableError)(nil); errors.As(err, &away) && away.Node == node {
			return key
		}
	}
}

// TestEveryChangeWithAKey takes effect once, whichever way and at whichever nodes it is
// asked for; or, while the node that the key belongs to does not answer, it is UNAVAILABLE,
// and takes effect when it is asked for again.
func TestEveryChangeWithAKey(t *testing.T) {
	for _, number := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			w := newKeyedWorld(t, number)
			probes := 0
			for _, c := range keyedChanges {
				for _, way := range keyedWays {
					if way.can != nil && !way.can(c.request(w)) {
						continue
					}
					what := fmt.Sprintf("%d nodes, %s by %s", number, c.method, way.name)
					tells := way.name != "EmitStream"
					// do asks for the change, and wants it to be a duplicate or not.
					do := func(node int, req proto.Message, duplicate bool) {
						t.Helper()
						if got, err := way.do(w, node, c.method, req); err != nil || tells && got != duplicate {
							t.Errorf("%s at n%d: duplicate %v, %v; want %v", what, node+1, got, err, duplicate)
						}
					}
					// once does it at the node, and once more at all.
					once := func(node int, req proto.Message) {
						t.Helper()
						before := w.state()
						do(node, req, false)
						if done := w.state(); done == before {
							t.Errorf("%s at n%d did nothing: %s", what, node+1, done)
						}
						if c.undo != nil {
							c.undo(w)
						}
						undone := w.state()
						for again := range w.nodes {
							do(again, req, true)
							if got := w.state(); got != undone {
								t.Errorf("%s, repeated at n%d, was done again: %s, was %s", what, again+1, got, undone)
							}
						}
					}
					if c.before != nil {
						c.before(w)
					}
					once(number-1, withKey(c.request(w), "key of "+what))
					if number == 1 {
						continue
					}
					w.nodes[0].Bus.Freeze("n3")
					time.Sleep(5 * time.Second) // until it is suspected
					req := withKey(c.request(w), w.keyOf("n3", &probes))
					before := w.state()
					for node := range 2 {
						_, err := way.do(w, node, c.method, req)
						unavailableN3(t, what, err)
					}
					if got := w.state(); got != before {
						t.Errorf("%s, which was refused, was done: %s, was %s", what, got, before)
					}
					w.nodes[0].Bus.Thaw("n3")
					time.Sleep(5 * time.Second)
					once(0, req)
				}
			}
		})
	}
}

// The table has all requests with a key.
func TestEveryChangeIsKnown(t *testing.T) {
	w := &keyedWorld{}
	known := map[protoreflect.FullName]bool{}
	for _, c := range keyedChanges {
		known[c.request(w).ProtoReflect().Descriptor().FullName()] = true
	}
	for _, f := range []protoreflect.FileDescriptor{
		fanoutv1.File_fanout_v1_emitter_proto, fanoutv1.File_fanout_v1_registry_proto, fanoutv1.File_fanout_v1_event_proto,
		fanoutv1.File_fanout_v1_admin_proto, fanoutv1.File_fanout_v1_block_proto, fanoutv1.File_fanout_v1_target_proto,
	} {
		for i := range f.Messages().Len() {
			if m := f.Messages().Get(i); m.Fields().ByName("idempotency_key") != nil && !known[m.FullName()] {
				t.Errorf("%s has an idempotency_key and is not tested", m.FullName())
			}
		}
	}
}
