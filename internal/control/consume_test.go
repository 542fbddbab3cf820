package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

func TestConsumeLifeOfAConnection(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "c", Authorize: true, Lifecycle: true, MaxInFlight: 1e6})
		if r := k.ready; r.GetGroup() != "g" || r.GetConsumerId() != "c" || r.GetNode() != w.node || r.GetMaxInFlight() != 10_000 {
			t.Errorf("ready: %v", r)
		}
		expire := time.Now().Add(time.Hour)
		c := w.knock(`40{"token":"secret"}`)
		connecting := k.event(`CONNECTING / [{"token":"secret"}]`)
		if v := connecting.GetConnection(); v.GetId() != connecting.GetConnectionId() || v.GetNode() != "n1" || v.GetHandshake().GetQuery()["q"] != "1" || v.GetTransport() != "websocket" {
			t.Errorf("connection of the CONNECTING: %v", v)
		}
		k.say(allowing(connecting.GetDeliveryId(), &fanoutv1.ConsumeRequest_Verdict_Allow{
			UserId: "42", Rooms: []string{"r"}, DataJson: `{ "x": "<", "id": 12345678901234567890 }`, ExpireAt: timestamppb.New(expire),
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
			if (e.GetConnection() != nil) != (i < 2 || i == 4) {
				t.Errorf("event %d has connection %v", i, e.GetConnection())
			}
		}
		if v := connected.GetConnection(); v.GetUserId() != "42" || !slices.Contains(v.GetRooms(), "r") ||
			v.GetDataJson() != `{"id":12345678901234567890,"x":"<"}` || !v.GetExpiresAt().AsTime().Equal(expire) {
			t.Errorf("connection of the CONNECTED: %v", v)
		}
		if v := gone.GetConnection(); v.GetUserId() != "42" || !slices.Contains(v.GetRooms(), "r") || v.GetDataJson() != connected.GetConnection().GetDataJson() ||
			gone.GetCause() != fanoutv1.Event_CLIENT_LEFT || gone.GetDetail() != "" {
			t.Errorf("the end: %v", gone)
		}
		// The verdict and the reply have settled theirs.
		k.say(acking(connected.GetDeliveryId(), hi.GetDeliveryId(), gone.GetDeliveryId()))
		k.quiet()
		if n := w.group().Waiting; n != 0 {
			t.Errorf("%d events are left", n)
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
		{"with data", &fanoutv1.ConsumeRequest_Verdict_Refuse{Message: "not you", Data: structpb.NewStructValue(object(t, map[string]any{"code": 7, "a": []any{nil}}))}, `44{"message":"not you","data":{"a":[null],"code":7}}`},
		{"with text for data", &fanoutv1.ConsumeRequest_Verdict_Refuse{Data: structpb.NewStringValue("why")}, `44{"message":"not authorized","data":"why"}`},
		{"with null for data", &fanoutv1.ConsumeRequest_Verdict_Refuse{Data: structpb.NewNullValue()}, `44{"message":"not authorized","data":null}`},
		{"with JSON for data", &fanoutv1.ConsumeRequest_Verdict_Refuse{DataJson: `[12345678901234567890,{"b":1,"a":2}]`}, `44{"message":"not authorized","data":[12345678901234567890,{"b":1,"a":2}]}`},
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

// TestConsumeIncludesConnections: who asks for it gets the connection with every
// message, as it is by then; who does not gets none.
func TestConsumeIncludesConnections(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		plain := w.consume(&fanoutv1.ConsumeRequest_Open{Group: "plain"})
		k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxInFlight: 1, IncludeConnection: true})
		c, id := w.connect("")
		join := func(room string) {
			t.Helper()
			_, err := fanoutv1.NewRegistryServiceClient(w.conn).Join(w.ctx(), &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{id}}, Rooms: []string{room}})
			if err != nil {
				t.Fatal(err)
			}
		}
		shows := func(event string, rooms ...string) {
			t.Helper()
			e := k.event("MESSAGE / " + event + "[]")
			want := append([]string{id}, rooms...)
			slices.Sort(want)
			if v := e.GetConnection(); v.GetId() != id || !slices.Equal(v.GetRooms(), want) || v.GetTransport() != "websocket" {
				t.Errorf("with %s came %v, want the rooms %q", event, v, want)
			}
			k.say(acking(e.GetDeliveryId()))
		}
		for _, event := range []string{"first", "second", "third"} {
			c.Say(`42["` + event + `"]`)
		}
		synctest.Wait() // the first is on its way, the others wait for its ack
		join("early")
		shows("first")
		shows("second", "early")
		c.Say("41")
		synctest.Wait()
		shows("third", "early")
		for _, event := range []string{"first", "second", "third"} {
			if e := plain.event("MESSAGE / " + event + "[]"); e.GetConnection() != nil {
				t.Errorf("the other group got the connection with %s", event)
			}
		}
		c.Close()
	})
}

// TestConsumeViews: which connections come with their handshake, by default and when a
// worker asks for more or less.
func TestConsumeViews(t *testing.T) {
	for view, want := range map[fanoutv1.Connection_View]string{
		fanoutv1.Connection_DEFAULT: "CONNECTING CONNECTED assigned DISCONNECTED",
		fanoutv1.Connection_BASIC:   "",
		fanoutv1.Connection_FULL:    "CONNECTING CONNECTED MESSAGE assigned DISCONNECTED",
	} {
		t.Run(view.String(), func(t *testing.T) {
			inWorld(t, dispatch.Options{}, func(w *world) {
				var got []string
				saw := func(what string, c *fanoutv1.Connection) {
					t.Helper()
					if c.GetId() == "" {
						t.Errorf("%s without its connection", what)
					}
					if h := c.GetHandshake(); h != nil {
						got = append(got, what)
						if h.GetAddress() == "" || h.GetQuery()["EIO"] != "4" || !h.GetIssuedAt().IsValid() {
							t.Errorf("%s: %v", what, h)
						}
					}
				}
				k := w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true, Lifecycle: true, IncludeConnection: true, View: view})
				c := w.knock("40")
				connecting := k.event("CONNECTING / []")
				saw("CONNECTING", connecting.GetConnection())
				k.say(allowing(connecting.GetDeliveryId(), &fanoutv1.ConsumeRequest_Verdict_Allow{}))
				connected := k.event("CONNECTED /")
				saw("CONNECTED", connected.GetConnection())
				c.Say(`42["a"]`)
				message := k.event("MESSAGE / a[]")
				saw("MESSAGE", message.GetConnection())
				k.say(acking(connected.GetDeliveryId(), message.GetDeliveryId()))
				other := w.consume(&fanoutv1.ConsumeRequest_Open{Group: "other", Assignments: true, View: view})
				saw("assigned", other.assigned()[0])
				c.Say("41")
				saw("DISCONNECTED", k.event("DISCONNECTED / client namespace disconnect").GetConnection())
				c.Close()
				if text := strings.Join(got, " "); text != want {
					t.Errorf("handshakes came with %q, want %q", text, want)
				}
			})
		})
	}
}

// TestConsumeExisting: a group hears of the connections that were there before, as
// they are by then, unless it declines.
func TestConsumeExisting(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		synctest.Wait()
		began := time.Now()
		time.Sleep(time.Second)
		_, err := fanoutv1.NewRegistryServiceClient(w.conn).Join(w.ctx(), &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{id}}, Rooms: []string{"later"}})
		if err != nil {
			t.Fatal(err)
		}
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Lifecycle: true})
		declines := w.consume(&fanoutv1.ConsumeRequest_Open{Group: "declines", Lifecycle: true, SkipExisting: true})
		e := k.event("CONNECTED /")
		if !e.GetExisting() || e.GetSequence() != 1 || !e.GetReceivedAt().AsTime().Equal(began) || !slices.Contains(e.GetConnection().GetRooms(), "later") {
			t.Errorf("told of it by %v", e)
		}
		c.Say(`42["x"]`)
		k.event("MESSAGE / x[]")
		declines.event("MESSAGE / x[]")
		other, _ := w.connect("")
		for _, k := range []*worker{k, declines} {
			if e := k.event("CONNECTED /"); e.GetExisting() {
				t.Errorf("a new connection is told of as %v", e)
			}
		}
		c.Close()
		other.Close()
	})
}
