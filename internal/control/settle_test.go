package control

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestConsumeRefusesOpen(t *testing.T) {
	long := strings.Repeat("x", 129)
	tests := []struct {
		name  string
		first *fanoutv1.ConsumeRequest
		want  []string
	}{
		{"nothing", &fanoutv1.ConsumeRequest{}, []string{"open"}},
		{"an ack", acking("x"), []string{"open"}},
		{"no group", opening(&fanoutv1.ConsumeRequest_Open{}), []string{"open.group"}},
		{"long names", opening(&fanoutv1.ConsumeRequest_Open{Group: long, ConsumerId: long}), []string{"open.group", "open.consumer_id"}},
		{"control characters", opening(&fanoutv1.ConsumeRequest_Open{Group: "a\x00b", ConsumerId: "a\nb"}), []string{"open.group", "open.consumer_id"}},
		{"unknown namespaces", opening(&fanoutv1.ConsumeRequest_Open{Group: "g", Namespaces: []string{"chat", "/no", ""}}), []string{"open.namespaces[1]"}},
		{"too many namespaces", opening(&fanoutv1.ConsumeRequest_Open{Group: "g", Namespaces: make([]string, 101)}), []string{"open.namespaces"}},
		{"bad events", opening(&fanoutv1.ConsumeRequest_Open{Group: "g", Events: []string{"ok", "", "disconnect", strings.Repeat("x", 1025)}}),
			[]string{"open.events[1]", "open.events[3]", "open.events[2]"}},
		{"too many events", opening(&fanoutv1.ConsumeRequest_Open{Group: "g", Events: slices.Repeat([]string{"e"}, 1001)}), []string{"open.events"}},
	}
	inWorld(t, dispatch.Options{}, func(w *world) {
		for _, tt := range tests {
			k := w.open(tt.first)
			_, err := k.stream.Recv()
			if got := fields(t, err); !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
		k := w.open(nil)
		k.close()
		_, err := k.stream.Recv()
		if got := fields(t, err); !slices.Equal(got, []string{"open"}) {
			t.Errorf("closed at once: got %q", got)
		}
		if n := len(w.events.Groups()); n != 0 {
			t.Errorf("there are %d groups", n)
		}
	})
}

func TestConsumeEndsAtFault(t *testing.T) {
	tests := []struct {
		name string
		m    *fanoutv1.ConsumeRequest
		want string
	}{
		{"a second open", opening(&fanoutv1.ConsumeRequest_Open{Group: "g"}), "open"},
		{"nothing", &fanoutv1.ConsumeRequest{}, "request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, dispatch.Options{}, func(w *world) {
				k := w.consume(&fanoutv1.ConsumeRequest_Open{})
				k.say(tt.m)
				_, err := k.stream.Recv()
				if got := fields(t, err); !slices.Equal(got, []string{tt.want}) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// rejectedRequest is how a rejection of m names it.
func rejectedRequest(m *fanoutv1.ConsumeRequest) fanoutv1.ConsumeResponse_Rejected_Request {
	switch m.GetRequest().(type) {
	case *fanoutv1.ConsumeRequest_Ack_:
		return fanoutv1.ConsumeResponse_Rejected_ACK
	case *fanoutv1.ConsumeRequest_Nack_:
		return fanoutv1.ConsumeResponse_Rejected_NACK
	case *fanoutv1.ConsumeRequest_Working_:
		return fanoutv1.ConsumeResponse_Rejected_WORKING
	case *fanoutv1.ConsumeRequest_Reply:
		return fanoutv1.ConsumeResponse_Rejected_REPLY
	case *fanoutv1.ConsumeRequest_Verdict_:
		return fanoutv1.ConsumeResponse_Rejected_VERDICT
	}
	return fanoutv1.ConsumeResponse_Rejected_UNSPECIFIED
}

// What cannot be done is rejected, and the stream lives on.
func TestConsumeRejects(t *testing.T) {
	inWorld(t, dispatch.Options{VerdictTimeout: time.Hour}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true})
		c := w.knock("40")
		connecting := k.event("CONNECTING / []").GetDeliveryId()
		const none = "nobody.1" // looks like a delivery and is none
		nan := &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewNumberValue(math.NaN())}}
		big := object(t, map[string]any{"a": strings.Repeat("x", 64<<10)})
		longName := strings.Repeat("x", 1025)
		allow := func(a *fanoutv1.ConsumeRequest_Verdict_Allow) *fanoutv1.ConsumeRequest {
			return allowing(connecting, a)
		}
		refuse := func(r *fanoutv1.ConsumeRequest_Verdict_Refuse) *fanoutv1.ConsumeRequest {
			return refusing(connecting, r)
		}
		type row struct {
			name string
			m    *fanoutv1.ConsumeRequest
			id   string
			code codes.Code
			text string
		}
		check := func(rows []row) {
			t.Helper()
			for _, r := range rows {
				t.Log(r.name)
				k.say(r.m)
				if got, want := k.rejection(r.id, r.code, r.text), rejectedRequest(r.m); got != want {
					t.Errorf("%s was rejected, want %s", got, want)
				}
			}
		}
		check([]row{
			{"ack of nothing", acking(none), none, codes.FailedPrecondition, "in flight"},
			{"ack of garbage", acking("x"), "x", codes.FailedPrecondition, "in flight"},
			{"ack of a CONNECTING", acking(connecting), connecting, codes.InvalidArgument, "CONNECTING"},
			{"nack of nothing", nacking(none), none, codes.FailedPrecondition, "in flight"},
			{"working of nothing", working(none), none, codes.FailedPrecondition, "in flight"},
			{"reply to nothing", replying(none, ""), none, codes.FailedPrecondition, "awaits no reply"},
			{"reply to garbage", replying("x", ""), "x", codes.InvalidArgument, "reply.delivery_id: "},
			{"reply without an id", replying("", ""), "", codes.InvalidArgument, "reply.delivery_id: "},
			{"reply to a CONNECTING", replying(connecting, ""), connecting, codes.InvalidArgument, "CONNECTING"},
			{"verdict on nothing", allowing(none, nil), none, codes.FailedPrecondition, "in flight"},
			{"verdict without an id", allowing("", nil), "", codes.InvalidArgument, "verdict.delivery_id: "},
			{"no decision", verdict(&fanoutv1.ConsumeRequest_Verdict{DeliveryId: connecting}), connecting, codes.InvalidArgument, "verdict.decision: "},
			{"an empty room", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{Rooms: []string{"r", ""}}), connecting, codes.InvalidArgument, "verdict.allow.rooms[1]: "},
			{"a long room", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{Rooms: []string{longName}}), connecting, codes.InvalidArgument, "verdict.allow.rooms[0]: "},
			{"too many rooms", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{Rooms: slices.Repeat([]string{"r"}, 1001)}), connecting, codes.InvalidArgument, "verdict.allow.rooms: "},
			{"a long user", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{UserId: longName}), connecting, codes.InvalidArgument, "verdict.allow.user_id: "},
			{"NaN in data", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{Data: nan}), connecting, codes.InvalidArgument, "verdict.allow.data."},
			{"much data", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{Data: big}), connecting, codes.InvalidArgument, "verdict.allow.data: "},
			{"no time", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{ExpireAt: &timestamppb.Timestamp{Nanos: -1}}), connecting, codes.InvalidArgument, "verdict.allow.expire_at: "},
			{"year 1", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{ExpireAt: timestamppb.New(time.Time{})}), connecting, codes.InvalidArgument, "verdict.allow.expire_at: "},
			{"a long message", refuse(&fanoutv1.ConsumeRequest_Verdict_Refuse{Message: longName}), connecting, codes.InvalidArgument, "verdict.refuse.message: "},
			{"NaN in the refusal's data", refuse(&fanoutv1.ConsumeRequest_Verdict_Refuse{Data: structpb.NewStructValue(nan)}), connecting, codes.InvalidArgument, "verdict.refuse.data: "},
			{"data that are no JSON", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{DataJson: "{"}), connecting, codes.InvalidArgument, "verdict.allow.data_json: "},
			{"much data as JSON", allow(&fanoutv1.ConsumeRequest_Verdict_Allow{DataJson: `{"x":"` + strings.Repeat("x", sio.MaxData) + `"}`}), connecting, codes.InvalidArgument, "verdict.allow.data_json: "},
			{"no JSON in the refusal's data", refuse(&fanoutv1.ConsumeRequest_Verdict_Refuse{DataJson: "no"}), connecting, codes.InvalidArgument, "verdict.refuse.data_json: "},
			{"much JSON of the refusal", refuse(&fanoutv1.ConsumeRequest_Verdict_Refuse{DataJson: `"` + strings.Repeat("x", maxRefusalData) + `"`}), connecting, codes.InvalidArgument, "verdict.refuse.data_json: "},
			{"the refusal's data twice", refuse(&fanoutv1.ConsumeRequest_Verdict_Refuse{Data: structpb.NewNullValue(), DataJson: "1"}), connecting, codes.InvalidArgument, "verdict.refuse.data_json: "},
			{"much data of the refusal", refuse(&fanoutv1.ConsumeRequest_Verdict_Refuse{Data: structpb.NewStructValue(big)}), connecting, codes.InvalidArgument, "verdict.refuse.data: "},
		})
		// None of this was a decision.
		k.say(allow(&fanoutv1.ConsumeRequest_Verdict_Allow{}))
		c.Next()
		c.Say(`427["question"]`)
		c.Say(`42["statement"]`)
		question := k.event("MESSAGE / question[]").GetDeliveryId()
		statement := k.event("MESSAGE / statement[]").GetDeliveryId()
		both := replying(question, "[]")
		both.GetReply().Args = []*structpb.Value{structpb.NewNullValue()}
		infinite := replying(question, "")
		infinite.GetReply().Args = []*structpb.Value{structpb.NewNullValue(), structpb.NewNumberValue(math.Inf(1))}
		check([]row{
			{"a second verdict", allow(nil), connecting, codes.FailedPrecondition, "in flight"},
			{"verdict on a MESSAGE", allowing(question, nil), question, codes.InvalidArgument, "CONNECTING"},
			{"no JSON", replying(question, "["), question, codes.InvalidArgument, "reply.args_json: "},
			{"no array", replying(question, "{}"), question, codes.InvalidArgument, "reply.args_json: "},
			{"both forms", both, question, codes.InvalidArgument, "reply.args_json: "},
			{"infinity", infinite, question, codes.InvalidArgument, "reply.args[1]: "},
			{"a missing attachment", replying(question, `[{"_placeholder":true,"num":1}]`, nil), question, codes.InvalidArgument, "reply.args_json: "},
			{"eleven attachments", replying(question, "[]", make([][]byte, 11)...), question, codes.InvalidArgument, "reply.attachments: "},
			{"too large", replying(question, `["`+strings.Repeat("x", 5<<20)+`"]`), question, codes.InvalidArgument, "reply.args_json: "},
		})
		// The browser still waits, and the delivery is still in flight.
		k.say(replying(question, `["answer"]`))
		if got := c.Next(); got != `437["answer"]` {
			t.Errorf("the client got %q", got)
		}
		check([]row{
			{"a second reply", replying(question, ""), question, codes.FailedPrecondition, "awaits no reply"},
			{"an ack of what the reply settled", acking(question), question, codes.FailedPrecondition, "in flight"},
			{"a reply that nobody expects", replying(statement, ""), statement, codes.FailedPrecondition, "awaits no reply"},
			{"an ack of what that settled", acking(statement), statement, codes.FailedPrecondition, "in flight"},
		})
		k.close()
		k.ends(codes.OK)
		c.Close()
	})
}

// A rejection names no more than the beginning of an id that is longer than any
// real one, cut between characters.
func TestConsumeRejectsLongIDs(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		for _, tt := range []struct{ id, want string }{
			{strings.Repeat("x", 256), strings.Repeat("x", 256)},
			{strings.Repeat("x", 257), strings.Repeat("x", 256)},
			{strings.Repeat("x", 1<<20), strings.Repeat("x", 256)},
			{strings.Repeat("€", 100), strings.Repeat("€", 85)}, // of three bytes each
		} {
			k.say(acking(tt.id))
			k.rejection(tt.want, codes.FailedPrecondition, "in flight")
			k.say(replying(tt.id, ""))
			k.rejection(tt.want, codes.InvalidArgument, "reply.delivery_id: ")
			k.say(allowing(tt.id, nil))
			k.rejection(tt.want, codes.FailedPrecondition, "in flight")
		}
		k.close()
		k.ends(codes.OK)
	})
}

// Some of a message's deliveries may be at fault: the others are settled.
func TestConsumeRejectsSome(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c, _ := w.connect("")
		c.Say(`42["n",0]`)
		c.Say(`42["n",1]`)
		k.say(acking(k.event("MESSAGE / n[0]").GetDeliveryId(), "x", k.event("MESSAGE / n[1]").GetDeliveryId(), "y"))
		k.close()
		k.rejection("x", codes.FailedPrecondition, "in flight")
		k.rejection("y", codes.FailedPrecondition, "in flight")
		k.ends(codes.OK)
		if n := w.group().Waiting; n != 0 {
			t.Errorf("%d events are left", n)
		}
		c.Close()
	})
}

// A worker that only makes mistakes and does not read is not read either.
func TestConsumeBoundsRejections(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		const mistakes = 10_000
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		id := strings.Repeat("x", maxRejectedID)
		said := 0
		go func() {
			for range mistakes {
				k.say(acking(id))
				said++
			}
			k.close()
		}()
		synctest.Wait()
		if said < maxRejected || said > mistakes/2 {
			t.Errorf("it could make %d mistakes of %d without reading", said, mistakes)
		}
		for range mistakes {
			k.rejection(id, codes.FailedPrecondition, "in flight")
		}
		k.ends(codes.OK)
	})
}

// TestReplies: each of many replies in one message is carried out or rejected by itself.
func TestReplies(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxInFlight: 3})
		c, _ := w.connect("")
		var ids []string
		for i := range 3 {
			c.Say(fmt.Sprintf(`42%d["question"]`, i))
			ids = append(ids, k.event("MESSAGE / question[]").GetDeliveryId())
		}
		k.say(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Replies_{Replies: &fanoutv1.ConsumeRequest_Replies{Replies: []*fanoutv1.ReplyRequest{
			{DeliveryId: ids[1], ArgsJson: `["b"]`}, {DeliveryId: ids[0], ArgsJson: "{}"}, {DeliveryId: "x"},
			{DeliveryId: ids[2], ArgsJson: `["c"]`}, {DeliveryId: ids[2], ArgsJson: `["again"]`},
		}}}})
		for _, want := range []string{`431["b"]`, `432["c"]`} {
			if got := c.Next(); got != want {
				t.Errorf("the client got %q, want %q", got, want)
			}
		}
		for _, want := range []struct {
			id   string
			code codes.Code
			text string
		}{
			{ids[0], codes.InvalidArgument, "reply.args_json: "},
			{"x", codes.InvalidArgument, "reply.delivery_id: "},
			{ids[2], codes.FailedPrecondition, "awaits no reply"},
		} {
			if of := k.rejection(want.id, want.code, want.text); of != fanoutv1.ConsumeResponse_Rejected_REPLY {
				t.Errorf("the rejection is of %v", of)
			}
		}
		k.say(replying(ids[0], `["a"]`)) // the browser still waits
		if got := c.Next(); got != `430["a"]` {
			t.Errorf("the client got %q", got)
		}
		c.Say(`42["next"]`)
		k.event("MESSAGE / next[]") // for which there is room now
		k.close()
		k.ends(codes.OK)
		c.Close()
	})
}

func TestReply(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c, _ := w.connect("")
		c.Say(`427["question"]`)
		c.Say(`428["question"]`)
		c.Say(`42["statement"]`)
		first := k.event("MESSAGE / question[]").GetDeliveryId()
		second := k.event("MESSAGE / question[]").GetDeliveryId()
		statement := k.event("MESSAGE / statement[]").GetDeliveryId()

		reply := func(m *fanoutv1.ReplyRequest) error {
			_, err := w.client.Reply(w.ctx(), m)
			return err
		}
		for _, tt := range []struct {
			name string
			m    *fanoutv1.ReplyRequest
			want []string
		}{
			{"nothing", &fanoutv1.ReplyRequest{}, []string{"delivery_id"}},
			{"no id of ours", &fanoutv1.ReplyRequest{DeliveryId: "x"}, []string{"delivery_id"}},
			{"all wrong", &fanoutv1.ReplyRequest{ArgsJson: "{}"}, []string{"delivery_id", "args_json"}},
			{"no array", &fanoutv1.ReplyRequest{DeliveryId: first, ArgsJson: "1"}, []string{"args_json"}},
			{"a missing attachment", &fanoutv1.ReplyRequest{DeliveryId: first, ArgsJson: `[{"_placeholder":true,"num":1}]`, Attachments: [][]byte{{1}}}, []string{"args_json"}},
			{"an infinity", &fanoutv1.ReplyRequest{DeliveryId: first, Args: []*structpb.Value{structpb.NewNumberValue(math.Inf(-1))}}, []string{"args[0]"}},
		} {
			if got := fields(t, reply(tt.m)); !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
		for i, m := range []*fanoutv1.ReplyRequest{
			{DeliveryId: first, Args: []*structpb.Value{structpb.NewStringValue("a"), structpb.NewNumberValue(1)}},
			{DeliveryId: second},
		} {
			if err := reply(m); err != nil {
				t.Fatal(err)
			}
			want := []string{`437["a",1]`, `438[]`}[i]
			if got := c.Next(); got != want {
				t.Errorf("the client got %q, want %q", got, want)
			}
		}
		for name, id := range map[string]string{"a second": first, "nobody asked": statement, "a stranger": "nobody.1"} {
			if err := reply(&fanoutv1.ReplyRequest{DeliveryId: id}); status.Code(err) != codes.FailedPrecondition {
				t.Errorf("%s: got %v, want FAILED_PRECONDITION", name, err)
			}
		}
		// The deliveries are still the stream's to settle.
		k.say(acking(first, second, statement))
		k.quiet()
		c.Close()
	})
}

// panicky is a Dispatcher whose replies have a bug.
type panicky struct{ *dispatch.Dispatcher }

func (panicky) Reply(string, []string, []byte, [][]byte) error { panic("a secret") }

// A panic on a stream's own goroutines ends that stream, and nothing else.
func TestConsumePanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dispatch.New(dispatch.Options{})
		_, conn := dial(t, newMemHub(), Options{Dispatcher: DispatcherOf(panicky{d})})
		w := &world{t: t, events: d, client: fanoutv1.NewEventServiceClient(conn)}
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		k.say(replying("a.1", ""))
		if st := k.ends(codes.Internal); strings.Contains(st.Message(), "secret") {
			t.Errorf("the status tells %q", st.Message())
		}
		synctest.Wait()
		if n := len(d.Groups()); n != 0 {
			t.Errorf("%d groups are left", n)
		}
	})
}

func TestTooManyConsumers(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		for i := range 100 {
			w.consume(&fanoutv1.ConsumeRequest_Open{Group: fmt.Sprint(i)})
		}
		w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: "one more"})).ends(codes.ResourceExhausted)
	})
}
