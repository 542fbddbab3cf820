package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// world is a whole daemon: browsers on one side, backends on the other.
type world struct {
	t        *testing.T
	events   *dispatch.Dispatcher
	listener *wiretest.Listener
	control  *server
	conn     *grpc.ClientConn
	client   fanoutv1.EventServiceClient
}

func inWorld(t *testing.T, o dispatch.Options, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Logger = slog.New(slog.DiscardHandler)
		w := &world{t: t, events: dispatch.New(o), listener: wiretest.Listen()}
		so := sio.Options{Namespaces: []string{"/", "/chat"}, Backend: w.events}
		so.Engine.Logger = o.Logger
		sockets, err := sio.NewServer(so)
		if err != nil {
			t.Fatal(err)
		}
		web := &http.Server{Handler: sockets}
		go web.Serve(w.listener)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := sockets.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown of the sockets: %v", err)
			}
			web.Close()
		})
		w.control, w.conn = dial(t, sockets, Options{Dispatcher: w.events, Info: Info{Node: "n1", MaxPayload: 1e6}})
		w.client = fanoutv1.NewEventServiceClient(w.conn)
		f(w)
	})
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
	cancel context.CancelFunc
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

func (w *world) connect(namespace string) (*wiretest.WS, string) {
	w.t.Helper()
	return w.listener.Connect(w.t, namespace)
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

func (k *worker) get() *fanoutv1.ConsumeResponse {
	k.t.Helper()
	m, err := k.stream.Recv()
	if err != nil {
		k.t.Fatal(err)
	}
	return m
}

// event returns the next message, which has to be a delivery of this.
func (k *worker) event(want string) *fanoutv1.Event {
	k.t.Helper()
	m := k.get()
	e := m.GetEvent()
	if e == nil {
		k.t.Fatalf("got %v, want %s", m, want)
	}
	if got := show(e); got != want {
		k.t.Errorf("got %q, want %q", got, want)
	}
	return e
}

// rejection returns the next message, which has to be one.
func (k *worker) rejection(id string, code codes.Code, text string) {
	k.t.Helper()
	m := k.get()
	r := m.GetRejected()
	if r == nil || r.GetDeliveryId() != id || codes.Code(r.GetCode()) != code || !strings.Contains(r.GetMessage(), text) {
		k.t.Errorf("got %v, want %s of %q with %q", m, code, id, text)
	}
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
	m, err := k.stream.Recv()
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

func TestConsumeLifeOfAConnection(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "c", Authorize: true, Lifecycle: true, MaxInFlight: 1e6})
		if r := k.ready; r.GetGroup() != "g" || r.GetConsumerId() != "c" || r.GetNode() != "n1" || r.GetMaxInFlight() != 10_000 {
			t.Errorf("ready: %v", r)
		}
		expire := time.Now().Add(time.Hour)
		c := w.knock(`40{"token":"secret"}`)
		connecting := k.event(`CONNECTING / [{"token":"secret"}]`)
		if v := connecting.GetConnection(); v.GetId() != connecting.GetConnectionId() || v.GetNode() != "n1" || v.GetQuery()["q"] != "1" || v.GetTransport() != "websocket" {
			t.Errorf("connection of the CONNECTING: %v", v)
		}
		k.say(allowing(connecting.GetDeliveryId(), &fanoutv1.ConsumeRequest_Verdict_Allow{
			UserId: "42", Rooms: []string{"r"}, Data: object(t, map[string]any{"x": 1}), ExpireAt: timestamppb.New(expire),
		}))
		if reply := c.Next(); !strings.Contains(reply, connecting.GetConnectionId()) {
			t.Errorf("the client got %q", reply)
		}
		connected := k.event("CONNECTED /")
		c.Say(`42["hi",{"b":1,"a":12345678901234567890}]`)
		c.Say(`451-7["question",{"_placeholder":true,"num":0}]`)
		c.SayBinary("\x01\x02")
		hi := k.event(`MESSAGE / hi[{"b":1,"a":12345678901234567890}]`)
		question := k.event(`MESSAGE / question[{"_placeholder":true,"num":0}]`)
		if len(question.GetAttachments()) != 1 || string(question.GetAttachments()[0]) != "\x01\x02" || !question.GetReplyExpected() || hi.GetReplyExpected() {
			t.Errorf("got %v after %v", question, hi)
		}
		k.say(replying(question.GetDeliveryId(), `["answer",{"_placeholder":true,"num":0}]`, []byte("\x03")))
		if got := c.Next() + c.Next(); got != `461-7["answer",{"_placeholder":true,"num":0}]`+"binary:\x03" {
			t.Errorf("the client got %q", got)
		}
		c.Say("41")
		gone := k.event("DISCONNECTED / client namespace disconnect")
		for i, e := range []*fanoutv1.Event{connecting, connected, hi, question, gone} {
			if e.GetSequence() != uint64(i+1) || e.GetConnectionId() != connecting.GetConnectionId() || !e.GetReceivedAt().AsTime().Equal(time.Now()) {
				t.Errorf("event %d: %v", i, e)
			}
			if user := []string{"", "42", "42", "42", "42"}[i]; e.GetUserId() != user {
				t.Errorf("event %d is of user %q, want %q", i, e.GetUserId(), user)
			}
			if (e.GetConnection() != nil) != (i < 2) {
				t.Errorf("event %d has connection %v", i, e.GetConnection())
			}
		}
		if v := connected.GetConnection(); v.GetUserId() != "42" || !slices.Contains(v.GetRooms(), "r") ||
			v.GetData().AsMap()["x"] != 1.0 || !v.GetExpiresAt().AsTime().Equal(expire) {
			t.Errorf("connection of the CONNECTED: %v", v)
		}
		// The verdict and the reply have settled theirs.
		k.say(acking(connected.GetDeliveryId(), hi.GetDeliveryId(), gone.GetDeliveryId()))
		k.quiet()
		if got := w.events.Groups()[0]; got.Waiting != 0 {
			t.Errorf("%d events are left", got.Waiting)
		}
		k.close()
		k.ends(codes.OK)
		c.Close()
	})
}

func TestConsumeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		refuse *fanoutv1.ConsumeRequest_Verdict_Refuse
		want   string
	}{
		{"with data", &fanoutv1.ConsumeRequest_Verdict_Refuse{Message: "not you", Data: object(t, map[string]any{"code": 7, "a": []any{nil}})}, `44{"message":"not you","data":{"a":[null],"code":7}}`},
		{"without data", &fanoutv1.ConsumeRequest_Verdict_Refuse{Message: "not you"}, `44{"message":"not you"}`},
		{"without a word", nil, `44{"message":"not authorized"}`},
	}
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true, Lifecycle: true})
		for _, tt := range tests {
			c := w.knock("40")
			k.say(refusing(k.event("CONNECTING / []").GetDeliveryId(), tt.refuse))
			if got := c.Next(); got != tt.want {
				t.Errorf("%s: the client got %q, want %q", tt.name, got, tt.want)
			}
			c.Close()
		}
		c := w.knock("40")
		k.say(allowing(k.event("CONNECTING / []").GetDeliveryId(), &fanoutv1.ConsumeRequest_Verdict_Allow{ExpireAt: timestamppb.New(time.Now())}))
		if got, want := c.Next(), `44{"message":"not authorized"}`; got != want {
			t.Errorf("expired already: the client got %q, want %q", got, want)
		}
		c.Close()
		k.quiet()
	})
}

func TestConsumeFilters(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Namespaces: []string{"chat"}, Events: []string{"b"}, Decode: true})
		if k.ready.GetConsumerId() == "" || k.ready.GetMaxInFlight() != 1000 {
			t.Errorf("ready: %v", k.ready)
		}
		c, _ := w.connect("/chat")
		c.Join("")
		c.Say(`42/chat,["a"]`)
		c.Say(`42["b"]`)
		c.Say(`42/chat,["b",{"x":[1,null]}]`)
		e := k.event(`MESSAGE /chat b[{"x":[1,null]}]`)
		if len(e.GetArgs()) != 1 || fmt.Sprint(e.GetArgs()[0].AsInterface()) != "map[x:[1 <nil>]]" {
			t.Errorf("args: %v", e.GetArgs())
		}
		k.quiet()
		c.Close()
	})
}

// All events of one connection come in order, and acks may come in any, many at
// a time.
func TestConsumeOrder(t *testing.T) {
	const events = 3000
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxInFlight: 50})
		c, _ := w.connect("")
		texts := make([]string, events)
		for i := range texts {
			texts[i] = fmt.Sprintf(`42["n",%d]`, i)
		}
		c.SayLater(texts...)
		var ids []string
		for i := range events {
			ids = append(ids, k.event(fmt.Sprintf("MESSAGE / n[%d]", i)).GetDeliveryId())
			if len(ids) == 50 {
				slices.Reverse(ids)
				k.say(acking(ids...))
				ids = nil
			}
		}
		k.quiet()
		c.Close()
	})
}

// What a worker had not settled when it went, in whatever way, goes to another
// at once.
func TestConsumeRedelivers(t *testing.T) {
	ways := map[string]func(*worker){
		"cancelled":   func(k *worker) { k.cancel() },
		"half-closed": func(k *worker) { k.close() },
		"at fault":    func(k *worker) { k.say(&fanoutv1.ConsumeRequest{}) },
	}
	for name, end := range ways {
		t.Run(name, func(t *testing.T) {
			inWorld(t, dispatch.Options{}, func(w *world) {
				a := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "a"})
				c, _ := w.connect("")
				for i := range 3 {
					c.Say(fmt.Sprintf(`42["n",%d]`, i))
				}
				first := a.event("MESSAGE / n[0]")
				a.event("MESSAGE / n[1]")
				a.event("MESSAGE / n[2]")
				a.say(acking(first.GetDeliveryId()))
				a.quiet()
				b := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "b"})
				before := time.Now()
				end(a)
				again := b.event("MESSAGE / n[1] attempt 2")
				if again.GetConnectionId() != first.GetConnectionId() || again.GetSequence() != first.GetSequence()+1 {
					t.Errorf("got %v after %v", again, first)
				}
				b.event("MESSAGE / n[2] attempt 2")
				if time.Now() != before {
					t.Errorf("that took %v", time.Since(before))
				}
				c.Close()
			})
		})
	}
}

func TestConsumeNack(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c, _ := w.connect("")
		c.Say(`42["n",0]`)
		c.Say(`42["n",1]`)
		first := k.event("MESSAGE / n[0]")
		k.event("MESSAGE / n[1]")
		k.say(nacking(first.GetDeliveryId()))
		again := k.event("MESSAGE / n[0] attempt 2")
		if again.GetDeliveryId() != first.GetDeliveryId() {
			t.Errorf("it is %q now, and was %q", again.GetDeliveryId(), first.GetDeliveryId())
		}
		k.event("MESSAGE / n[1] attempt 2")
		c.Close()
	})
}

func TestConsumeReplaced(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		old := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "c"})
		c, _ := w.connect("")
		c.Say(`42["n"]`)
		old.event("MESSAGE / n[]")
		again := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "c"})
		st := old.ends(codes.Aborted)
		if info, ok := st.Details()[0].(*errdetails.ErrorInfo); !ok || info.GetReason() != "CONSUMER_REPLACED" {
			t.Errorf("details: %v", st.Details())
		}
		again.event("MESSAGE / n[] attempt 2")
		c.Close()
	})
}

func TestConsumeStalled(t *testing.T) {
	t.Run("does not settle", func(t *testing.T) {
		inWorld(t, dispatch.Options{}, func(w *world) {
			k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxInFlight: 1})
			c, _ := w.connect("")
			c.Idle()
			c.Say(`42["n",0]`)
			c.Say(`42["n",1]`)
			k.event("MESSAGE / n[0]")
			st := k.ends(codes.ResourceExhausted)
			if info, ok := st.Details()[0].(*errdetails.RetryInfo); !ok || info.GetRetryDelay().AsDuration() != time.Second {
				t.Errorf("details: %v", st.Details())
			}
			w.consume(&fanoutv1.ConsumeRequest_Open{}).event("MESSAGE / n[0] attempt 2")
			c.Close()
		})
	})
	// The daemon hangs in a send to it, and gets out.
	t.Run("does not read", func(t *testing.T) {
		inWorld(t, dispatch.Options{QueueBytes: 64 << 20}, func(w *world) {
			k := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "deaf"})
			c, _ := w.connect("")
			c.Idle()
			big := strings.Repeat("x", 500_000)
			for range 8 {
				c.Say(`42["n","` + big + `"]`)
			}
			time.Sleep(10 * time.Second)
			if st := w.events.Stats(); st.StalledConsumers != 1 {
				t.Errorf("%d consumers stalled", st.StalledConsumers)
			}
			other := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "other"})
			for range 8 {
				if e := other.get().GetEvent(); len(e.GetArgsJson()) != len(big)+4 {
					t.Fatalf("got an event of %d bytes", len(e.GetArgsJson()))
				}
			}
			for {
				if _, err := k.stream.Recv(); err != nil {
					if status.Code(err) != codes.ResourceExhausted {
						t.Errorf("the deaf one ended with %v", err)
					}
					break
				}
			}
			c.Close()
		})
	})
}

// A worker that leaves gets nothing more, settles in peace, and ends with OK.
func TestConsumeLeave(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		a := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "a", MaxInFlight: 1})
		c, _ := w.connect("")
		c.Say(`427["n",0]`)
		c.Say(`42["n",1]`)
		first := a.event("MESSAGE / n[0]")
		a.say(leaving)
		a.drains()
		b := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "b"})
		b.quiet() // not before the first is settled
		a.say(leaving)
		a.say(acking(first.GetDeliveryId()))
		b.event("MESSAGE / n[1]")
		a.say(replying(first.GetDeliveryId(), `["late"]`))
		if got := c.Next(); got != `437["late"]` {
			t.Errorf("the client got %q", got)
		}
		a.quiet()
		a.close()
		a.ends(codes.OK)
		c.Close()
	})
}

// At the drain a stream ends by itself once it has nothing in flight, so that
// the daemon need not wait for those that do not listen.
func TestConsumeDrains(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		busy := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "busy"})
		c, _ := w.connect("")
		c.Say(`42["n",0]`)
		e := busy.event("MESSAGE / n[0]")
		idle := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "idle"})
		late := w.open(nil)
		synctest.Wait()
		w.control.Drain()
		idle.drains()
		idle.ends(codes.Unavailable)
		busy.drains()
		busy.quiet()
		busy.say(acking(e.GetDeliveryId()))
		busy.ends(codes.Unavailable)
		late.say(opening(&fanoutv1.ConsumeRequest_Open{Group: "g", ConsumerId: "late"}))
		if m := late.get(); m.GetReady() == nil {
			t.Errorf("got %v, want ready", m)
		}
		late.drains()
		late.ends(codes.Unavailable)
		w.open(nil).ends(codes.Unavailable)
		if err := w.control.Shutdown(w.ctx()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		c.Close()
	})
}

// What a worker holds on to does not outlive the daemon's patience.
func TestConsumeShutdown(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c, _ := w.connect("")
		c.Say(`42["n"]`)
		k.event("MESSAGE / n[]")
		ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
		defer cancel()
		if err := w.control.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if n := len(w.events.Groups()[0].Subscriptions); n != 0 {
			t.Errorf("%d consumers are left", n)
		}
		k.drains()
		k.ends(codes.Unavailable)
		c.Close()
	})
}
