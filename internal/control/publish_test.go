package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// elsewhere is a connection to the API of another node than the consumers', if there is one.
func (w *world) elsewhere() *grpc.ClientConn {
	w.t.Helper()
	if !w.apart {
		return w.conn
	}
	n := w.nodes[0]
	_, conn := dial(w.t, n, Options{Dispatcher: ClusterDispatcherOf(n.Consumers), Keys: n, Info: Info{Node: "n1", MaxPayload: 1e6}})
	return conn
}

// listen joins for topics alone; its name is its group and its id.
func (w *world) listen(name string, topics ...string) *worker {
	w.t.Helper()
	group, id, _ := strings.Cut(name, "/")
	return w.consume(&fanoutv1.ConsumeRequest_Open{Group: group, ConsumerId: id, Topics: topics, NoEvents: true, Decode: strings.HasPrefix(id, "decode")})
}

// published returns the next message, which has to be this of another backend.
func (k *worker) published(want string) *fanoutv1.ConsumeResponse_Published {
	k.t.Helper()
	m := k.get()
	p := m.GetPublished()
	text := p.GetTopic() + p.GetArgsJson()
	if p.GetReplyExpected() {
		text += "?"
	}
	if text != want {
		k.t.Errorf("got %v, want %q published", m, want)
	}
	return p
}

func answering(id, args string, attachments ...[]byte) *fanoutv1.ConsumeRequest {
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Answer_{
		Answer: &fanoutv1.ConsumeRequest_Answer{PublishId: id, ArgsJson: args, Attachments: attachments},
	}}
}

// showPublished is a response in a few words.
func showPublished(r *fanoutv1.PublishResponse) string {
	all := []string{fmt.Sprint(r.GetMatched())}
	for _, a := range r.GetAnswers() {
		all = append(all, a.GetGroup()+"/"+a.GetConsumerId()+" "+a.GetArgsJson())
	}
	for _, m := range r.GetMissing() {
		all = append(all, m.GetGroup()+"/"+m.GetConsumerId()+" "+m.GetReason().String())
	}
	slices.Sort(all[1:])
	if r.GetPartial() {
		all = append(all, "partial")
	}
	return strings.Join(append(all, r.GetUnreachable()...), ", ")
}

func TestPublish(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		publisher := fanoutv1.NewEventServiceClient(w.elsewhere())
		a, b, c := w.listen("g/a", "t", "t"), w.listen("g/b", "t", "u"), w.listen("h/decode", "t")
		other := w.listen("h/other", "u")
		publish := func(req *fanoutv1.PublishRequest, want string) {
			w.t.Helper()
			resp, err := publisher.Publish(w.ctx(), req)
			if got := showPublished(resp); err != nil || got != want {
				w.t.Errorf("got %q, %v, want %q", got, err, want)
			}
		}
		publish(&fanoutv1.PublishRequest{Topic: "t", All: true, ArgsJson: `[ {"b":1,"a":12345678901234567890} ]`}, "3")
		a.published(`t[ {"b":1,"a":12345678901234567890} ]`)
		b.published(`t[ {"b":1,"a":12345678901234567890} ]`)
		m := c.published(`t[ {"b":1,"a":12345678901234567890} ]`)
		if len(m.GetArgs()) != 1 || m.GetArgs()[0].GetStructValue().GetFields()["b"].GetNumberValue() != 1 {
			t.Errorf("decoded: %v", m.GetArgs())
		}
		publish(&fanoutv1.PublishRequest{Topic: "t", Group: "g"}, "2")
		a.published("t[]")
		b.published("t[]")
		publish(&fanoutv1.PublishRequest{Topic: "t", Group: "g", Except: &fanoutv1.ConsumerName{Group: "g", ConsumerId: "a"}, Args: []*structpb.Value{structpb.NewStringValue("x")}}, "1")
		b.published(`t["x"]`)
		publish(&fanoutv1.PublishRequest{Topic: "u", All: true, ArgsJson: `[{"_placeholder":true,"num":0}]`, Attachments: [][]byte{{1, 2}}}, "2")
		for _, k := range []*worker{b, other} {
			if m := k.published(`u[{"_placeholder":true,"num":0}]`); len(m.GetAttachments()) != 1 || string(m.GetAttachments()[0]) != "\x01\x02" {
				t.Errorf("attachments: %v", m)
			}
		}
		publish(&fanoutv1.PublishRequest{Topic: "nobody's", All: true}, "0")
		for i := range 100 {
			publish(&fanoutv1.PublishRequest{Topic: "t", Group: "h", ArgsJson: fmt.Sprintf("[%d]", i)}, "1")
		}
		for i := range 100 {
			c.published(fmt.Sprintf("t[%d]", i))
		}
		for _, k := range []*worker{a, b, c, other} {
			k.quiet()
		}
	})
}

func TestPublishAwaitsAnswers(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		publisher := fanoutv1.NewEventServiceClient(w.elsewhere())
		answers, silent, gone := w.listen("g/answers", "t"), w.listen("g/silent", "t"), w.listen("g/gone", "t")
		small := w.consume(&fanoutv1.ConsumeRequest_Open{Group: "h", ConsumerId: "small", Topics: []string{"t"}, MaxMessageBytes: minMessageBytes})
		type outcome struct {
			resp *fanoutv1.PublishResponse
			err  error
			took time.Duration
		}
		publish := func(ctx context.Context, args string) chan outcome {
			ended, began := make(chan outcome, 1), time.Now()
			go func() {
				resp, err := publisher.Publish(ctx, &fanoutv1.PublishRequest{Topic: "t", All: true, ArgsJson: args, Timeout: durationpb.New(time.Minute), Decode: true})
				ended <- outcome{resp, err, time.Since(began)}
			}()
			return ended
		}
		ended := publish(w.ctx(), `["`+strings.Repeat("x", minMessageBytes)+`"]`)
		m := answers.get().GetPublished()
		if !m.GetReplyExpected() {
			t.Errorf("got %v", m)
		}
		answers.say(answering(m.GetPublishId(), "[1"))
		if r := answers.rejection(m.GetPublishId(), codes.InvalidArgument, "answer.args_json"); r != fanoutv1.ConsumeResponse_Rejected_ANSWER {
			t.Errorf("rejected as %v", r)
		}
		answers.say(answering("", "[1]"))
		answers.rejection("", codes.InvalidArgument, "answer.publish_id")
		answers.say(answering(m.GetPublishId(), `[{"_placeholder":true,"num":0},1]`, []byte{3}))
		answers.say(answering(m.GetPublishId(), "[2]"))
		answers.rejection(m.GetPublishId(), codes.FailedPrecondition, "no answer is awaited")
		late := silent.get().GetPublished()
		gone.get()
		gone.close()
		gone.ends(codes.OK)
		o := <-ended
		if want := `4, g/answers [{"_placeholder":true,"num":0},1], g/gone DISCONNECTED, g/silent TIMEOUT, h/small TOO_LARGE`; o.err != nil || showPublished(o.resp) != want || o.took < time.Minute || o.took > time.Minute+time.Second {
			t.Errorf("got %q, %v after %v, want %q", showPublished(o.resp), o.err, o.took, want)
		}
		if a := o.resp.GetAnswers(); len(a) != 1 || len(a[0].GetAttachments()) != 1 || len(a[0].GetArgs()) != 2 || a[0].GetArgs()[1].GetNumberValue() != 1 {
			t.Errorf("the answer: %v", a)
		}
		synctest.Wait() // until the members' node knows too
		silent.say(answering(late.GetPublishId(), "[]"))
		silent.rejection(late.GetPublishId(), codes.FailedPrecondition, "no answer is awaited")
		small.quiet()

		// What there is by the caller's deadline.
		ctx, cancel := context.WithTimeout(w.ctx(), 5*time.Second)
		defer cancel()
		ended = publish(ctx, "[1]")
		answers.say(answering(answers.published("t[1]?").GetPublishId(), ""))
		silent.published("t[1]?")
		small.published("t[1]?")
		if o := <-ended; o.err != nil || showPublished(o.resp) != "3, g/answers [], g/silent TIMEOUT, h/small TIMEOUT" {
			t.Errorf("before the deadline: %q, %v", showPublished(o.resp), o.err)
		}
		// A caller that goes ends the waiting.
		ctx, cancel = context.WithCancel(w.ctx())
		ended = publish(ctx, "[2]")
		id := answers.published("t[2]?").GetPublishId()
		silent.published("t[2]?")
		small.published("t[2]?")
		cancel()
		if o := <-ended; status.Code(o.err) != codes.Canceled {
			t.Errorf("canceled: %v", o.err)
		}
		synctest.Wait()
		answers.say(answering(id, ""))
		answers.rejection(id, codes.FailedPrecondition, "no answer is awaited")
		// A member that leaves gets nothing more, and may answer what it has.
		ended = publish(w.ctx(), "[3]")
		id = answers.published("t[3]?").GetPublishId()
		answers.say(leaving)
		answers.drains()
		answers.say(answering(id, `["bye"]`))
		synctest.Wait()
		again := publish(w.ctx(), "[4]")
		for _, k := range []*worker{silent, small} {
			k.say(answering(k.published("t[3]?").GetPublishId(), "[0]"))
			k.say(answering(k.published("t[4]?").GetPublishId(), "[0]"))
		}
		if o := <-ended; o.err != nil || showPublished(o.resp) != `3, g/answers ["bye"], g/silent [0], h/small [0]` {
			t.Errorf("one leaves: %q, %v", showPublished(o.resp), o.err)
		}
		if o := <-again; o.err != nil || showPublished(o.resp) != "2, g/silent [0], h/small [0]" {
			t.Errorf("one has left: %q, %v", showPublished(o.resp), o.err)
		}
		answers.close()
		answers.ends(codes.OK)
	})
}

// A member that does not read misses what it has no room for, and nobody waits for it.
func TestPublishWaitsForNobody(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		publisher := fanoutv1.NewEventServiceClient(w.elsewhere())
		slow, quick := w.listen("g/slow", "t"), w.listen("g/quick", "t")
		text := `["` + strings.Repeat("x", 1<<20) + `"]`
		full, began := 0, time.Now()
		for range 20 {
			resp, err := publisher.Publish(w.ctx(), &fanoutv1.PublishRequest{Topic: "t", All: true, ArgsJson: text})
			if err != nil {
				t.Fatal(err)
			}
			if got := showPublished(resp); got == "1, g/slow FULL" {
				full++
			} else if got != "2" {
				t.Fatalf("got %q", got)
			}
			quick.published("t" + text)
		}
		if d := time.Since(began); d > time.Second || full == 0 {
			t.Errorf("20 messages took %v, and %d found no room", d, full)
		}
		for range 20 - full {
			slow.published("t" + text)
		}
		slow.quiet()
	})
}

func TestPublishRefuses(t *testing.T) {
	long := strings.Repeat("x", 257)
	timeout := durationpb.New(time.Second)
	inOneNode(t, dispatch.Options{}, func(w *world) {
		for _, tt := range []struct {
			req  *fanoutv1.PublishRequest
			want []string
		}{
			{&fanoutv1.PublishRequest{}, []string{"topic", "group"}},
			{&fanoutv1.PublishRequest{Topic: "t", Group: "g", All: true}, []string{"group"}},
			{&fanoutv1.PublishRequest{Topic: "t*", All: true}, []string{"topic"}},
			{&fanoutv1.PublishRequest{Topic: "t\n", All: true}, []string{"topic"}},
			{&fanoutv1.PublishRequest{Topic: long, Group: long}, []string{"topic", "group"}},
			{&fanoutv1.PublishRequest{Topic: "t", All: true, Except: &fanoutv1.ConsumerName{}}, []string{"except.group", "except.consumer_id"}},
			{&fanoutv1.PublishRequest{Topic: "t", All: true, Except: &fanoutv1.ConsumerName{Group: long, ConsumerId: "a\x00"}}, []string{"except.group", "except.consumer_id"}},
			{&fanoutv1.PublishRequest{Topic: "t", All: true, ArgsJson: "{}"}, []string{"args_json"}},
			{&fanoutv1.PublishRequest{Topic: "t", All: true, ArgsJson: "[]", Args: []*structpb.Value{structpb.NewNullValue()}}, []string{"args_json"}},
			{&fanoutv1.PublishRequest{Topic: "t", All: true, Timeout: durationpb.New(0)}, []string{"timeout"}},
			{&fanoutv1.PublishRequest{Topic: "t", All: true, Timeout: durationpb.New(25 * time.Hour)}, []string{"timeout"}},
			{&fanoutv1.PublishRequest{Topic: "t", All: true, Timeout: timeout, IdempotencyKey: "k"}, []string{"idempotency_key"}},
			{&fanoutv1.PublishRequest{Topic: "t", All: true, IdempotencyKey: long}, []string{"idempotency_key"}},
		} {
			_, err := w.client.Publish(w.ctx(), tt.req)
			if got := fields(t, err); status.Code(err) != codes.InvalidArgument || !slices.Equal(got, tt.want) {
				t.Errorf("%v: %v names %v, want %v", tt.req, err, got, tt.want)
			}
		}
		for _, tt := range []struct {
			open *fanoutv1.ConsumeRequest_Open
			want []string
		}{
			{&fanoutv1.ConsumeRequest_Open{Topics: []string{"t", "", "*", long}}, []string{"open.topics[1]", "open.topics[2]", "open.topics[3]"}},
			{&fanoutv1.ConsumeRequest_Open{Topics: slices.Repeat([]string{"t"}, 1001)}, []string{"open.topics"}},
			{&fanoutv1.ConsumeRequest_Open{NoEvents: true}, []string{"open.no_events"}},
			{&fanoutv1.ConsumeRequest_Open{NoEvents: true, Topics: []string{"t"}, Namespaces: []string{"/"}, Events: []string{"e"}, Lifecycle: true, Authorize: true, Assignments: true},
				[]string{"open.namespaces", "open.events", "open.lifecycle", "open.authorize", "open.assignments"}},
		} {
			tt.open.Group = "g"
			_, err := w.open(opening(tt.open)).stream.Recv()
			if got := fields(t, err); status.Code(err) != codes.InvalidArgument || !slices.Equal(got, tt.want) {
				t.Errorf("%v: %v names %v, want %v", tt.open, err, got, tt.want)
			}
		}
		for _, rights := range []identity.Rights{{Namespaces: []string{"/chat"}}, {Rooms: []string{"r"}}} {
			w.control.caller = callerWith(t, rights)
			if _, err := w.client.Publish(w.ctx(), &fanoutv1.PublishRequest{Topic: "t", All: true}); status.Code(err) != codes.PermissionDenied {
				t.Errorf("with %v: %v", rights, err)
			}
			resp, err := fanoutv1.NewEmitterServiceClient(w.conn).Batch(w.ctx(), &fanoutv1.BatchRequest{Operations: []*fanoutv1.Operation{publishing(&fanoutv1.PublishRequest{Topic: "t", All: true})}})
			if code := codes.Code(resp.GetResults()[0].GetStatus().GetCode()); err != nil || code != codes.PermissionDenied {
				t.Errorf("with %v in a batch: %v, %v", rights, code, err)
			}
		}
		w.control.caller = callerWith(t, identity.Rights{Namespaces: []string{"/chat"}})
		_, err := w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: "g", Topics: []string{"t"}})).stream.Recv()
		if st := status.Convert(err); st.Code() != codes.PermissionDenied || !strings.HasPrefix(st.Message(), "open.topics: ") {
			t.Errorf("topics with namespaces: %v", err)
		}
		w.control.caller = callerWith(t, identity.Rights{Scopes: []identity.Scope{identity.Emit}})
		resp, err := fanoutv1.NewEmitterServiceClient(w.conn).Batch(w.ctx(), &fanoutv1.BatchRequest{Operations: []*fanoutv1.Operation{publishing(&fanoutv1.PublishRequest{Topic: "t", All: true})}})
		if st := resp.GetResults()[0].GetStatus(); err != nil || codes.Code(st.GetCode()) != codes.PermissionDenied || !strings.Contains(st.GetMessage(), "consume") {
			t.Errorf("with the scope emit: %v, %v", st, err)
		}
	})
}

func publishing(m *fanoutv1.PublishRequest) *fanoutv1.Operation {
	return &fanoutv1.Operation{Operation: &fanoutv1.Operation_Publish{Publish: m}}
}

func TestPublishOnce(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		publisher := fanoutv1.NewEventServiceClient(w.elsewhere())
		k := w.listen("g/a", "t")
		for i := range 3 {
			resp, err := publisher.Publish(w.ctx(), &fanoutv1.PublishRequest{Topic: "t", All: true, ArgsJson: "[1]", IdempotencyKey: "k"})
			if err != nil || resp.GetMatched() != 1 || resp.GetDuplicate() != (i > 0) {
				t.Errorf("attempt %d: %v, %v", i, resp, err)
			}
		}
		_, err := publisher.Publish(w.ctx(), &fanoutv1.PublishRequest{Topic: "t", All: true, ArgsJson: "[2]", IdempotencyKey: "k"})
		if got := fields(t, err); !slices.Equal(got, []string{"idempotency_key"}) {
			t.Errorf("with other content: %v", err)
		}
		k.published("t[1]")
		k.quiet()
	})
}

// A stream of commands publishes in its order, and what is awaited holds up nothing.
func TestExecutePublishes(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		x := execute(t, w.ctx(), w.elsewhere())
		k := w.listen("g/a", "t")
		const messages = 300
		asked := x.do(publishing(&fanoutv1.PublishRequest{Topic: "t", Group: "g", ArgsJson: `["asked"]`, Timeout: durationpb.New(time.Hour)}))
		for i := range messages {
			x.do(publishing(&fanoutv1.PublishRequest{Topic: "t", Group: "g", ArgsJson: fmt.Sprintf("[%d]", i)}))
		}
		cancelled := x.do(publishing(&fanoutv1.PublishRequest{Topic: "t", Group: "g", ArgsJson: `["cancelled"]`, Timeout: durationpb.New(time.Hour)}))
		refused := x.do(publishing(&fanoutv1.PublishRequest{Topic: "t"}))
		id := k.published(`t["asked"]?`).GetPublishId()
		for i := range messages {
			k.published(fmt.Sprintf("t[%d]", i))
		}
		k.published(`t["cancelled"]?`)
		for i := range messages {
			if r := x.next(); r.GetSequence() != asked+1+uint64(i) || !r.GetLast() || showPublished(r.GetResult().GetPublish()) != "1" {
				t.Fatalf("result %v", r)
			}
		}
		if r := x.next(); r.GetSequence() != refused || codes.Code(r.GetResult().GetStatus().GetCode()) != codes.InvalidArgument || !strings.HasPrefix(r.GetResult().GetStatus().GetMessage(), "command.operation.publish.group: ") {
			t.Errorf("the refused one: %v", r)
		}
		x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Cancel_{Cancel: &fanoutv1.ExecuteRequest_Cancel{Sequence: cancelled}}})
		if r := x.next(); r.GetSequence() != cancelled || codes.Code(r.GetResult().GetStatus().GetCode()) != codes.Canceled {
			t.Errorf("the cancelled one: %v", r)
		}
		k.say(answering(id, "[1]"))
		if r := x.next(); r.GetSequence() != asked || !r.GetLast() || showPublished(r.GetResult().GetPublish()) != "1, g/a [1]" {
			t.Errorf("the awaited one: %v", r)
		}
		if left := x.finish(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		resp, err := fanoutv1.NewEmitterServiceClient(w.elsewhere()).Batch(w.ctx(), &fanoutv1.BatchRequest{Operations: []*fanoutv1.Operation{
			publishing(&fanoutv1.PublishRequest{Topic: "t", All: true, ArgsJson: `["in a batch"]`}),
			publishing(&fanoutv1.PublishRequest{Topic: "t", All: true, Timeout: durationpb.New(time.Second)}),
		}})
		if err != nil || showPublished(resp.GetResults()[0].GetPublish()) != "1" || !strings.HasPrefix(resp.GetResults()[1].GetStatus().GetMessage(), "operations[1].publish.timeout: ") {
			t.Errorf("the batch: %v, %v", resp, err)
		}
		k.published(`t["in a batch"]`)
		k.quiet()
	})
}

// A worker may be there for its topics alone, and one for both gets both.
func TestTopicsBesideEvents(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		publisher := fanoutv1.NewEventServiceClient(w.elsewhere())
		only := w.listen("g/topics", "t")
		both := w.consume(&fanoutv1.ConsumeRequest_Open{Group: "g", ConsumerId: "both", Topics: []string{"t"}, MaxInFlight: 1})
		if g := w.group(); len(g.Subscriptions) != 2 || !slices.Equal(g.Subscriptions[1].Topics, []string{"t"}) {
			t.Errorf("the group: %+v", g)
		}
		for range 20 {
			c, _ := w.connect("")
			c.Say(`42["hi"]`)
			e := both.event(`MESSAGE / hi[]`)
			// What is in flight holds up no message of another backend.
			if resp, err := publisher.Publish(w.ctx(), &fanoutv1.PublishRequest{Topic: "t", Group: "g"}); err != nil || resp.GetMatched() != 2 {
				t.Fatalf("%v, %v", resp, err)
			}
			both.published("t[]")
			only.published("t[]")
			both.say(acking(e.GetDeliveryId()))
			c.Close()
		}
		only.quiet()
		list, err := fanoutv1.NewAdminServiceClient(w.conn).ListConsumers(w.ctx(), &fanoutv1.ListConsumersRequest{Group: "g"})
		if err != nil || len(list.GetGroups()) != 1 {
			t.Fatal(list, err)
		}
		for _, c := range list.GetGroups()[0].GetConsumers() {
			if !slices.Equal(c.GetTopics(), []string{"t"}) || c.GetConsumerId() == "topics" && c.GetConnections() != 0 {
				t.Errorf("listed: %v", c)
			}
		}
	})
}
