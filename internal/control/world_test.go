package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster/clustertest"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// world is a whole daemon: browsers on one side, backends on the other. It may be one
// node, or a cluster whose browsers are at another node than the API.
type world struct {
	t        *testing.T
	events   *dispatch.Dispatcher // of the node with the browsers
	listener *wiretest.Listener
	control  *server
	conn     *grpc.ClientConn
	client   fanoutv1.EventServiceClient
	node     string              // the name of the one with the API
	apart    bool                // the browsers are at another
	nodes    []*clustertest.Node // n1 has the browsers, n2 the API; nil: there is one
	blocks   *blocks.Keeper      // of one node; nil: nobody can be blocked
}

// inWorld runs f twice: with one node, and with the browsers at another node than the API.
func inWorld(t *testing.T, o dispatch.Options, f func(*world)) {
	t.Helper()
	t.Run("one node", func(t *testing.T) { inOneNode(t, o, f) })
	t.Run("from another node", func(t *testing.T) { inBubble(t, o, (*world).startNodes, f) })
}

// inOneNode runs f with one node.
func inOneNode(t *testing.T, o dispatch.Options, f func(*world)) {
	t.Helper()
	inBubble(t, o, (*world).startNode, f)
}

func inBubble(t *testing.T, o dispatch.Options, start func(*world, sio.Options, dispatch.Options), f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		start(w, sio.Options{Namespaces: []string{"/", "/chat"}}, o)
		f(w)
	})
}

func (w *world) startNode(so sio.Options, o dispatch.Options) {
	w.t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	w.events, w.listener = dispatch.New(o), wiretest.Listen()
	so.Node, so.Backend, so.Owners, so.ChangeListener, so.Engine.Logger = "n1", w.events, w.events, w.events, o.Logger
	if w.blocks != nil {
		so.Blocks = w.blocks
	}
	sockets, err := sio.NewServer(so)
	if err != nil {
		w.t.Fatal(err)
	}
	web := &http.Server{Handler: sockets}
	go web.Serve(w.listener)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := sockets.Shutdown(ctx); err != nil {
			w.t.Errorf("Shutdown of the sockets: %v", err)
		}
		web.Close()
	})
	services := Options{Dispatcher: DispatcherOf(w.events), Info: Info{Node: "n1"}}
	if w.blocks != nil {
		w.blocks.Enforce(sockets)
		services.Blocks = BlocksOf(w.blocks)
	}
	w.serve(sockets, services)
}

func (w *world) startNodes(so sio.Options, o dispatch.Options) {
	w.t.Helper()
	nodes := clustertest.Start(w.t, 3, clustertest.Options{Sockets: so, Events: o})
	w.t.Cleanup(func() {
		for _, n := range nodes {
			n.Stop()
		}
	})
	w.events, w.listener, w.apart, w.nodes = nodes[0].Local, nodes[0].Browsers, true, nodes
	w.serve(nodes[1], Options{Dispatcher: ClusterDispatcherOf(nodes[1].Consumers), Keys: nodes[1], Info: Info{Node: "n2"}})
}

// serve serves the API.
func (w *world) serve(hub Hub, o Options) {
	w.t.Helper()
	o.Info.MaxPayload = 1e6
	w.node = o.Info.Node
	w.control, w.conn = dial(w.t, hub, o)
	w.client = fanoutv1.NewEventServiceClient(w.conn)
}

// ctx ends what a failing test would wait for, for ever.
func (w *world) ctx() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
	w.t.Cleanup(cancel)
	return ctx
}

// worker is the other end of a Consume stream.
type worker struct {
	t      *testing.T
	stream grpc.BidiStreamingClient[fanoutv1.ConsumeRequest, fanoutv1.ConsumeResponse]
	ready  *fanoutv1.ConsumeResponse_Ready
	came   []*fanoutv1.Event // in one message with those that were looked at

	heartbeats int // that get left out
	cancel     context.CancelFunc
}

// open starts a stream with this first message.
func (w *world) open(first *fanoutv1.ConsumeRequest) *worker {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx())
	w.t.Cleanup(cancel)
	s, err := w.client.Consume(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	k := &worker{t: w.t, stream: s, cancel: cancel}
	if first != nil {
		k.say(first)
	}
	return k
}

// consume joins a group, "g" if o names none.
func (w *world) consume(o *fanoutv1.ConsumeRequest_Open) *worker {
	w.t.Helper()
	if o.Group == "" {
		o.Group = "g"
	}
	k := w.open(opening(o))
	if k.ready = k.get().GetReady(); k.ready == nil {
		w.t.Fatal("the first answer is not ready")
	}
	return k
}

// group returns how the one group does where the browsers are, when all that is under
// way has arrived there.
func (w *world) group() dispatch.GroupStatus {
	w.t.Helper()
	synctest.Wait()
	groups := w.events.Groups()
	if len(groups) != 1 {
		w.t.Fatalf("%d groups, want one", len(groups))
	}
	return groups[0]
}

// connect adds a connection that all nodes know of.
func (w *world) connect(namespace string) (*wiretest.WS, string) {
	w.t.Helper()
	c, id := w.listener.Connect(w.t, namespace)
	synctest.Wait()
	return c, id
}

// knock opens a session and asks to connect.
func (w *world) knock(connect string) *wiretest.WS {
	w.t.Helper()
	c := w.listener.MustDialWS(w.t, "EIO=4&transport=websocket&q=1")
	c.Next()
	c.Say(connect)
	return c
}

func (k *worker) say(m *fanoutv1.ConsumeRequest) {
	k.t.Helper()
	if err := k.stream.Send(m); err != nil {
		k.t.Fatal(err)
	}
}

// get returns the next message but for heartbeats; nothing may be left of the one
// before.
func (k *worker) get() *fanoutv1.ConsumeResponse {
	k.t.Helper()
	if len(k.came) > 0 {
		k.t.Fatalf("got %v, want no event", k.came)
	}
	for {
		m, err := k.stream.Recv()
		if err != nil {
			k.t.Fatal(err)
		}
		if m.GetHeartbeat() == nil {
			return m
		}
		k.heartbeats++
	}
}

// next returns the next delivery; nothing else may come before.
func (k *worker) next() *fanoutv1.Event {
	k.t.Helper()
	if len(k.came) == 0 {
		m := k.get()
		if k.came = m.GetEvents().GetEvents(); len(k.came) == 0 {
			k.t.Fatalf("got %v, want an event", m)
		}
	}
	e := k.came[0]
	k.came = k.came[1:]
	return e
}

// event returns the next delivery, which has to be this.
func (k *worker) event(want string) *fanoutv1.Event {
	k.t.Helper()
	e := k.next()
	if got := show(e); got != want {
		k.t.Errorf("got %q, want %q", got, want)
	}
	return e
}

// rejection returns what the next message, which has to be one, says that was not done.
func (k *worker) rejection(id string, code codes.Code, text string) fanoutv1.ConsumeResponse_Rejected_Request {
	k.t.Helper()
	m := k.get()
	r := m.GetRejected()
	if r == nil || r.GetDeliveryId() != id || codes.Code(r.GetStatus().GetCode()) != code || !strings.Contains(r.GetStatus().GetMessage(), text) {
		k.t.Errorf("got %v, want %s of %q with %q", m, code, id, text)
	}
	return r.GetRequest()
}

func (k *worker) drains() {
	k.t.Helper()
	if m := k.get(); m.GetDraining() == nil {
		k.t.Errorf("got %v, want draining", m)
	}
}

// ends wants the stream to end with this code and nothing before it.
func (k *worker) ends(want codes.Code) *status.Status {
	k.t.Helper()
	if len(k.came) > 0 {
		k.t.Errorf("got %v, want the end", k.came)
	}
	m, err := k.stream.Recv()
	for m.GetHeartbeat() != nil {
		m, err = k.stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if m != nil || status.Code(err) != want {
		k.t.Errorf("got %v, %v, want %v", m, err, want)
	}
	return status.Convert(err)
}

// quiet wants nothing more to be on its way: the answer to a mistake is next.
func (k *worker) quiet() {
	k.t.Helper()
	synctest.Wait()
	k.say(acking("quiet?"))
	k.rejection("quiet?", codes.FailedPrecondition, "")
}

func (k *worker) close() {
	k.t.Helper()
	if err := k.stream.CloseSend(); err != nil {
		k.t.Error(err)
	}
}

func show(e *fanoutv1.Event) string {
	s := strings.TrimSpace(fmt.Sprintf("%s %s %s%s%s", e.GetKind(), e.GetNamespace(), e.GetEvent(), e.GetArgsJson(), e.GetReason()))
	if e.GetAttempt() != 1 {
		s += fmt.Sprintf(" attempt %d", e.GetAttempt())
	}
	return s
}

func opening(o *fanoutv1.ConsumeRequest_Open) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: o}}
}

func acking(ids ...string) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{Ack: &fanoutv1.ConsumeRequest_Ack{DeliveryIds: ids}}}
}

func nacking(ids ...string) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Nack_{Nack: &fanoutv1.ConsumeRequest_Nack{DeliveryIds: ids}}}
}

func replying(id, args string, attachments ...[]byte) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Reply{
		Reply: &fanoutv1.ReplyRequest{DeliveryId: id, ArgsJson: args, Attachments: attachments},
	}}
}

func allowing(id string, a *fanoutv1.ConsumeRequest_Verdict_Allow) *fanoutv1.ConsumeRequest {
	return verdict(&fanoutv1.ConsumeRequest_Verdict{DeliveryId: id, Decision: &fanoutv1.ConsumeRequest_Verdict_Allow_{Allow: a}})
}

func refusing(id string, r *fanoutv1.ConsumeRequest_Verdict_Refuse) *fanoutv1.ConsumeRequest {
	return verdict(&fanoutv1.ConsumeRequest_Verdict{DeliveryId: id, Decision: &fanoutv1.ConsumeRequest_Verdict_Refuse_{Refuse: r}})
}

func verdict(v *fanoutv1.ConsumeRequest_Verdict) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Verdict_{Verdict: v}}
}

var leaving = &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Leave_{}}

func object(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
