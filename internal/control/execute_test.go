package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// executor is the other end of an Execute stream.
type executor struct {
	t       *testing.T
	stream  grpc.BidiStreamingClient[fanoutv1.ExecuteRequest, fanoutv1.ExecuteResponse]
	last    uint64 // sequence
	through uint64
	came    []*fanoutv1.ExecuteResponse_Result // that were not looked at
}

func execute(t *testing.T, ctx context.Context, conn *grpc.ClientConn) *executor {
	t.Helper()
	s, err := fanoutv1.NewEmitterServiceClient(conn).Execute(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &executor{t: t, stream: s}
}

// do sends an operation and returns its number.
func (x *executor) do(op *fanoutv1.Operation) uint64 {
	x.t.Helper()
	x.last++
	x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Command_{Command: &fanoutv1.ExecuteRequest_Command{Sequence: x.last, Operation: op}}})
	return x.last
}

func (x *executor) say(m *fanoutv1.ExecuteRequest) {
	x.t.Helper()
	if err := x.stream.Send(m); err != nil {
		x.t.Fatal(err)
	}
}

// receive takes the next message of the stream.
func (x *executor) receive() error {
	x.t.Helper()
	m, err := x.stream.Recv()
	if err != nil {
		return err
	}
	if m.GetAckedThrough() < x.through {
		x.t.Errorf("acked through %d after %d", m.GetAckedThrough(), x.through)
	}
	x.through = m.GetAckedThrough()
	x.came = append(x.came, m.GetResults()...)
	return nil
}

// next returns the next result.
func (x *executor) next() *fanoutv1.ExecuteResponse_Result {
	x.t.Helper()
	for len(x.came) == 0 {
		if err := x.receive(); err != nil {
			x.t.Fatal(err)
		}
	}
	r := x.came[0]
	x.came = x.came[1:]
	return r
}

// finish closes the caller's side, and returns what is left of the results.
func (x *executor) finish() []*fanoutv1.ExecuteResponse_Result {
	x.t.Helper()
	if err := x.stream.CloseSend(); err != nil {
		x.t.Fatal(err)
	}
	for {
		if err := x.receive(); errors.Is(err, io.EOF) {
			return x.came
		} else if err != nil {
			x.t.Fatal(err)
		}
	}
}

// showResult is a result in a few words.
func showResult(r *fanoutv1.ExecuteResponse_Result) string {
	res, what := r.GetResult(), ""
	switch a := res.GetAnswer().(type) {
	case *fanoutv1.OperationResult_Emit:
		what = fmt.Sprint("emit ", a.Emit.GetMatched()+a.Emit.GetForwarded())
	case *fanoutv1.OperationResult_Join:
		what = fmt.Sprint("join ", a.Join.GetAffected())
	case *fanoutv1.OperationResult_Leave:
		what = fmt.Sprint("leave ", a.Leave.GetAffected())
	case *fanoutv1.OperationResult_Disconnect:
		what = fmt.Sprint("disconnect ", a.Disconnect.GetAffected())
	case *fanoutv1.OperationResult_Update:
		what = "update " + a.Update.GetConnection().GetDataJson() + fmt.Sprint(a.Update.GetConnection().GetData().AsMap())
	case *fanoutv1.OperationResult_Reply:
		what = "reply"
	case *fanoutv1.OperationResult_Call:
		what = "call " + a.Call.GetArgsJson()
	case *fanoutv1.OperationResult_EmitWithAck:
		switch m := a.EmitWithAck.GetResponse().(type) {
		case *fanoutv1.EmitWithAckResponse_Started_:
			what = fmt.Sprint("started ", m.Started.GetExpected())
		case *fanoutv1.EmitWithAckResponse_Ack_:
			what = "ack " + m.Ack.GetArgsJson()
		case *fanoutv1.EmitWithAckResponse_Failed_:
			what = "failed " + m.Failed.GetReason().String()
		case *fanoutv1.EmitWithAckResponse_Summary_:
			what = fmt.Sprint("summary ", m.Summary.GetAcked(), " of ", m.Summary.GetExpected())
		}
	}
	if s := res.GetStatus(); s != nil {
		what = strings.TrimSpace(what + " " + codes.Code(s.GetCode()).String() + ": " + s.GetMessage()) //nolint:gosec // a code
	}
	if !r.GetLast() {
		what += ", and more"
	}
	return fmt.Sprint(r.GetSequence(), ": ", what)
}

func (x *executor) expect(want ...string) {
	x.t.Helper()
	for _, want := range want {
		if got := showResult(x.next()); got != want {
			x.t.Errorf("got %q, want %q", got, want)
		}
	}
}

func opEmit(to *fanoutv1.Target, event string) *fanoutv1.Operation {
	return &fanoutv1.Operation{Operation: &fanoutv1.Operation_Emit{Emit: &fanoutv1.EmitRequest{To: to, Event: event}}}
}

func opJoin(to *fanoutv1.Target, rooms ...string) *fanoutv1.Operation {
	return &fanoutv1.Operation{Operation: &fanoutv1.Operation_Join{Join: &fanoutv1.JoinRequest{To: to, Rooms: rooms}}}
}

func opLeave(to *fanoutv1.Target, rooms ...string) *fanoutv1.Operation {
	return &fanoutv1.Operation{Operation: &fanoutv1.Operation_Leave{Leave: &fanoutv1.LeaveRequest{To: to, Rooms: rooms}}}
}

func opCall(id, event string, timeout time.Duration) *fanoutv1.Operation {
	return &fanoutv1.Operation{Operation: &fanoutv1.Operation_Call{Call: &fanoutv1.CallRequest{Id: id, Event: event, Timeout: durationpb.New(timeout)}}}
}

func opEmitWithAck(to *fanoutv1.Target, event string, timeout time.Duration) *fanoutv1.Operation {
	return &fanoutv1.Operation{Operation: &fanoutv1.Operation_EmitWithAck{EmitWithAck: &fanoutv1.EmitWithAckRequest{
		Emit: &fanoutv1.EmitRequest{To: to, Event: event}, Timeout: durationpb.New(timeout),
	}}}
}

func toID(id string) *fanoutv1.Target { return &fanoutv1.Target{Ids: []string{id}} }

// All kinds of operations in one stream: each sees what those before it did, and browsers
// get what they are sent in its order.
func TestExecute(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		c.Say(`421["question"]`)
		question := k.event("MESSAGE / question[]")
		x := execute(t, w.ctx(), w.conn)
		x.do(opJoin(toID(id), "r"))
		x.do(opEmit(toRoom("r"), "first"))
		x.do(opCall(id, "call", time.Minute))
		x.do(opEmit(toRoom("r"), "second"))
		x.do(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Reply{Reply: &fanoutv1.ReplyRequest{DeliveryId: question.GetDeliveryId(), ArgsJson: `["answer"]`}}})
		x.do(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Update{Update: &fanoutv1.UpdateConnectionRequest{Id: id, DataJson: `{"a":1}`}}})
		x.do(opLeave(toID(id), "r"))
		x.do(opEmit(toRoom("r"), "nobody hears it"))
		x.do(opEmit(toID(id), "third"))
		for _, want := range []string{`42["first"]`, `42N["call"]`, `42["second"]`, `431["answer"]`, `42["third"]`} {
			got := c.Next()
			if n := ackID(got); n != "" {
				c.Say("43" + n + `["called"]`)
				got = strings.Replace(got, "42"+n, "42N", 1)
			}
			if got != want {
				t.Errorf("the browser got %q, want %q", got, want)
			}
		}
		got := map[string]bool{}
		for range 9 {
			got[showResult(x.next())] = true
		}
		nobody := "8: emit 0"
		if w.apart && !got[nobody] { // a room that a node has just lost may be thought to be there
			nobody = "8: emit 1"
		}
		for _, want := range []string{"1: join 1", "2: emit 1", `3: call ["called"]`, "4: emit 1", "5: reply", "6: update map[a:1]", "7: leave 1", nobody, "9: emit 1"} {
			if !got[want] {
				t.Errorf("no result %q in %v", want, got)
			}
		}
		x.do(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Disconnect{Disconnect: &fanoutv1.DisconnectRequest{To: toID(id)}}})
		x.expect("10: disconnect 1")
		if rest := x.finish(); len(rest) > 0 || x.through != 10 {
			t.Errorf("acked through %d, and %v", x.through, rest)
		}
		c.Close()
	})
}

// ackID returns the number of an event that is to be answered.
func ackID(packet string) string {
	n := strings.TrimPrefix(packet, "42")
	n, _, _ = strings.Cut(n, "[")
	return n
}

// TestExecuteAfterLogin: what is for a user comes after the update that made a connection
// that user's, wherever it is.
func TestExecuteAfterLogin(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		x := execute(t, w.ctx(), w.conn)
		c, id := w.connect("")
		for i := range 50 {
			user := fmt.Sprint("u", i)
			op := &fanoutv1.Operation{Operation: &fanoutv1.Operation_UpdateAll{UpdateAll: &fanoutv1.UpdateConnectionsRequest{To: toID(id), UserId: &user}}}
			if i%2 == 0 {
				op = &fanoutv1.Operation{Operation: &fanoutv1.Operation_Update{Update: &fanoutv1.UpdateConnectionRequest{Id: id, UserId: &user}}}
			}
			x.do(op)
			x.do(opEmit(&fanoutv1.Target{Users: []string{user}}, user))
			if i > 0 {
				x.do(opEmit(&fanoutv1.Target{Users: []string{fmt.Sprint("u", i-1)}}, "nobody hears it"))
			}
			if got, want := c.Next(), fmt.Sprintf("42[%q]", user); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
		x.finish()
		c.Close()
	})
}

// Joins, leaves and emits to rooms at random: each browser gets just what is due to it,
// in the order of the stream, however long other nodes take. With SOAK=1 it is a million
// commands.
func TestExecuteKeepsOrder(t *testing.T) {
	commands := uint64(2000)
	if os.Getenv("SOAK") != "" {
		commands = 1_000_000
	}
	inWorld(t, dispatch.Options{}, func(w *world) {
		const browsers = 4
		random := rand.New(rand.NewPCG(1, 2))
		rooms := []string{"a", "b", "c"}
		in := make([]map[string]bool, browsers)
		want, ids := make([][]string, browsers), make([]string, browsers)
		got := make([]chan []string, browsers)
		for i := range browsers {
			c, id := w.connect("")
			in[i], ids[i], got[i] = map[string]bool{}, id, make(chan []string, 1)
			go func() {
				var all []string
				for {
					m := c.Next()
					if m == `42["end"]` {
						got[i] <- all
						c.Close()
						return
					}
					all = append(all, m)
				}
			}()
		}
		x := execute(t, w.ctx(), w.conn)
		x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: &fanoutv1.ExecuteRequest_Open{Results: fanoutv1.ExecuteRequest_Open_ERRORS}}})
		for n := range commands {
			i, room := random.IntN(browsers), rooms[random.IntN(len(rooms))]
			switch random.IntN(4) {
			case 0:
				x.do(opJoin(toID(ids[i]), room))
				in[i][room] = true
			case 1:
				x.do(opLeave(toID(ids[i]), room))
				in[i][room] = false
			case 2:
				other := rooms[random.IntN(len(rooms))]
				x.do(opJoin(toRoom(room), other))
				for i := range browsers {
					in[i][other] = in[i][other] || in[i][room]
				}
			default:
				x.do(opEmit(toRoom(room), fmt.Sprint(n)))
				for i := range browsers {
					if in[i][room] {
						want[i] = append(want[i], fmt.Sprintf(`42["%d"]`, n))
					}
				}
			}
		}
		x.do(opEmit(toAll(), "end"))
		if results := x.finish(); len(results) > 0 || x.through != commands+1 {
			t.Errorf("acked through %d, with %v", x.through, results)
		}
		for i := range browsers {
			if got := <-got[i]; fmt.Sprint(got) != fmt.Sprint(want[i]) {
				t.Errorf("browser %d got %d events, want %d: %.1000q, %.1000q", i, len(got), len(want[i]), fmt.Sprint(got), fmt.Sprint(want[i]))
			}
			if len(want[i]) < 100 {
				t.Errorf("browser %d was sent only %d events: little is shown by that", i, len(want[i]))
			}
		}
	})
}

// What awaits browsers holds up nothing, and can be canceled; who goes is told at once.
func TestExecuteAwaits(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		x := execute(t, w.ctx(), w.conn)
		x.do(opCall(id, "1", time.Hour))
		x.do(opEmitWithAck(toID(id), "2", time.Hour))
		x.do(opEmit(toID(id), "3"))
		if a, b := showResult(x.next()), showResult(x.next()); !slices.Contains([]string{a, b}, "2: started 1, and more") || !slices.Contains([]string{a, b}, "3: emit 1") {
			t.Errorf("got %q and %q", a, b)
		}
		for range 3 {
			c.Next()
		}
		x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Cancel_{Cancel: &fanoutv1.ExecuteRequest_Cancel{Sequence: 1}}})
		x.expect("1: Canceled: canceled by the caller")
		c.Close()
		x.expect("2: failed DISCONNECTED, and more", "2: summary 0 of 1")
		x.do(opCall("nobody", "x", time.Second))
		x.expect(`4: NotFound: no connection "nobody" in namespace "/"`)
		x.do(opEmitWithAck(toAll(), "x", time.Second))
		x.expect("5: started 0, and more", "5: summary 0 of 0")
		if rest := x.finish(); len(rest) > 0 || x.through != 5 {
			t.Errorf("acked through %d, with %v", x.through, rest)
		}
	})
}

// The caller closes its side while an answer is awaited: it comes all the same.
func TestExecuteEndsWithItsAnswers(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		x := execute(t, w.ctx(), w.conn)
		x.do(opCall(id, "x", time.Minute))
		if err := x.stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		c.Say("43" + ackID(c.Next()) + `["late"]`)
		x.expect(`1: call ["late"]`)
		if err := x.receive(); !errors.Is(err, io.EOF) && err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

// Each command that is refused says why, and those behind it are carried out.
func TestExecuteRefuses(t *testing.T) {
	hub := newMemHub()
	_, conn := dial(t, hub, Options{})
	x := execute(t, t.Context(), conn)
	x.do(opEmit(nil, ""))
	x.do(nil)
	x.do(opJoin(toAll()))
	x.do(opCall("", "x", time.Second))
	x.do(opEmitWithAck(toAll(), "connect", 0))
	x.do(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Reply{Reply: &fanoutv1.ReplyRequest{}}})
	x.last -= 2
	x.do(opEmit(toAll(), "no new number"))
	x.do(opEmit(toAll(), "no new number"))
	x.do(opEmit(toAll(), "sent"))
	x.expect(
		"1: InvalidArgument: command.operation.emit.to: selects nobody: name rooms, ids or users, or say \"all\": true; command.operation.emit.event: must not be empty",
		"2: InvalidArgument: command.operation: must be one of the operations that there are",
		"3: InvalidArgument: command.operation.join.rooms: must name at least one room",
		"4: InvalidArgument: command.operation.call.id: must not be empty",
		"5: InvalidArgument: command.operation.emit_with_ack.emit.event: \"connect\" is reserved by Socket.IO; command.operation.emit_with_ack.timeout: must be positive",
		"6: Unimplemented: no such method",
		"5: InvalidArgument: command.sequence: 5 does not come after 6",
		"6: InvalidArgument: command.sequence: 6 does not come after 6",
		"7: emit 0",
	)
	if rest := x.finish(); len(rest) > 0 || x.through != 7 {
		t.Errorf("acked through %d, with %v", x.through, rest)
	}
	if emits := hub.emits(); len(emits) != 1 || emits[0].Event != "sent" {
		t.Errorf("carried out: %v", emits)
	}
}

// A stream whose messages make no sense ends, and says why.
func TestExecuteEnds(t *testing.T) {
	opened := &fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: &fanoutv1.ExecuteRequest_Open{}}}
	for name, tt := range map[string]struct {
		say  []*fanoutv1.ExecuteRequest
		want string
	}{
		"nothing":         {[]*fanoutv1.ExecuteRequest{{}}, "request: must not be empty"},
		"open twice":      {[]*fanoutv1.ExecuteRequest{opened, opened}, "open: must be the first message"},
		"too many":        {[]*fanoutv1.ExecuteRequest{{Request: &fanoutv1.ExecuteRequest_Commands_{Commands: &fanoutv1.ExecuteRequest_Commands{Commands: make([]*fanoutv1.ExecuteRequest_Command, 1001)}}}}, "commands.commands: 1001, but at most 1000 are allowed"},
		"unknown results": {[]*fanoutv1.ExecuteRequest{{Request: &fanoutv1.ExecuteRequest_Open_{Open: &fanoutv1.ExecuteRequest_Open{Results: 7}}}}, "open.results: 7 is no value of this field"},
	} {
		t.Run(name, func(t *testing.T) {
			_, conn := dial(t, newMemHub(), Options{})
			x := execute(t, t.Context(), conn)
			for _, m := range tt.say {
				x.say(m)
			}
			err := x.receive()
			if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != tt.want {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// Each operation needs the scope of its own RPC.
func TestOperationsNeedScopes(t *testing.T) {
	s, conn := dial(t, newMemHub(), Options{})
	s.caller = callerWith(t, identity.Rights{Scopes: []identity.Scope{identity.Write}})
	want := []string{
		`1: PermissionDenied: the key "limited" lacks the scope "emit"`,
		"2: join 0",
		`3: PermissionDenied: the key "limited" lacks the scope "emit"`,
		`4: PermissionDenied: the key "limited" lacks the scope "emit"`,
		`5: PermissionDenied: the key "limited" lacks the scope "disconnect"`,
		`6: PermissionDenied: the key "limited" lacks the scope "consume"`,
	}
	operations := []*fanoutv1.Operation{
		opEmit(toAll(), "x"), opJoin(toAll(), "r"), opCall("id", "x", time.Second), opEmitWithAck(toAll(), "x", time.Second),
		{Operation: &fanoutv1.Operation_Disconnect{Disconnect: &fanoutv1.DisconnectRequest{To: toAll()}}},
		{Operation: &fanoutv1.Operation_Reply{Reply: &fanoutv1.ReplyRequest{DeliveryId: "x"}}},
	}
	x := execute(t, t.Context(), conn)
	for _, op := range operations {
		x.do(op)
	}
	x.expect(want...)
	x.finish()
	batch, err := fanoutv1.NewEmitterServiceClient(conn).Batch(t.Context(), &fanoutv1.BatchRequest{Operations: operations})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range batch.GetResults() {
		got := showResult(&fanoutv1.ExecuteResponse_Result{Sequence: uint64(i + 1), Result: r, Last: true}) //nolint:gosec // small
		if got != want[i] {
			t.Errorf("in a batch: %q, want %q", got, want[i])
		}
	}
}

// A caller that does not read is not read either: what waits for it is bounded, whatever
// kind its commands are of.
func TestExecuteHoldsUpWhoDoesNotRead(t *testing.T) {
	for name, op := range map[string]*fanoutv1.Operation{
		"emit":          opEmit(toAll(), "x"),
		"call":          opCall("nobody", "x", time.Second),
		"emit_with_ack": opEmitWithAck(toAll(), "x", time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &silentExecution{ctx: identity.NewContext(t.Context(), identity.Unlimited("")), op: op, release: make(chan struct{})}
				services := New(newMemHub(), Options{})
				ended := make(chan error, 1)
				go func() { ended <- services.Emitter.Execute(s) }()
				synctest.Wait()
				if n := s.received.Load(); n > 3*maxResultBacklog {
					t.Errorf("%d commands were read", n)
				} else if n < maxResultBacklog/2 { // of two results each
					t.Errorf("only %d commands were read", n)
				}
				close(s.release)
				if err := <-ended; err != nil {
					t.Error(err)
				}
				services.Wait()
				if n := s.ended.Load(); n != silentCommands {
					t.Errorf("%d commands have a last result, want %d", n, silentCommands)
				}
			})
		})
	}
}

// Answers that come while far too much waits for the caller are late, and no more is kept.
func TestExecuteBoundsAnswers(t *testing.T) {
	r := newResults()
	big := &fanoutv1.OperationResult{Answer: &fanoutv1.OperationResult_Call{Call: &fanoutv1.CallResponse{ArgsJson: strings.Repeat("x", 1<<20)}}}
	for i := range uint64(100) {
		r.end(i, big)
	}
	if r.bytes > maxOutcomeBytes+2<<20 || len(r.list) != 100 {
		t.Errorf("%d bytes in %d results", r.bytes, len(r.list))
	}
	if last := r.list[99]; !last.GetLast() || last.GetResult().GetStatus().GetCode() != int32(codes.DeadlineExceeded) {
		t.Errorf("the last is %v", last)
	}
}

// The answer to a batch of updates stays small, however much data the connections have.
func TestBatchOfUpdatesIsBounded(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "")
	_, conn := dial(t, hub, Options{})
	update := &fanoutv1.Operation{Operation: &fanoutv1.Operation_Update{Update: &fanoutv1.UpdateConnectionRequest{Id: "a", DataJson: `{"a":"` + strings.Repeat("x", 60<<10) + `"}`}}}
	req := &fanoutv1.BatchRequest{}
	for range 200 {
		req.Operations = append(req.Operations, update)
	}
	resp, err := fanoutv1.NewEmitterServiceClient(conn).Batch(t.Context(), req, grpc.MaxCallRecvMsgSize(5<<20))
	if err != nil {
		t.Fatal(err)
	}
	results := resp.GetResults()
	if len(results) != 200 || results[0].GetUpdate().GetConnection().GetId() != "a" || results[199].GetUpdate() == nil || results[199].GetUpdate().GetConnection() != nil {
		t.Errorf("%d results, the last %v", len(results), results[len(results)-1])
	}
}

// At shutdown a stream is told, and what still comes is carried out.
func TestExecuteDrains(t *testing.T) {
	hub := newMemHub()
	s, conn := dial(t, hub, Options{})
	x := execute(t, t.Context(), conn)
	x.do(opEmit(toAll(), "before"))
	x.expect("1: emit 0")
	s.Drain()
	m, err := x.stream.Recv()
	if err != nil || !m.GetDraining() || m.GetAckedThrough() != 1 {
		t.Fatalf("got %v, %v, want draining", m, err)
	}
	x.do(opEmit(toAll(), "after"))
	x.expect("2: emit 0")
	x.finish()
	if len(hub.emits()) != 2 {
		t.Errorf("carried out: %v", hub.emits())
	}
}

// A batch carries out all that can be, in order.
func TestBatch(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		client := fanoutv1.NewEmitterServiceClient(w.conn)
		resp, err := client.Batch(w.ctx(), &fanoutv1.BatchRequest{Operations: []*fanoutv1.Operation{
			opJoin(toID(id), "r"), opEmit(toRoom("r"), "1"), opCall(id, "x", time.Second), opEmitWithAck(toID(id), "x", time.Second), {}, opLeave(toID(id), "r"), opEmit(toID(id), "2"),
		}})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{
			"join 1", "emit 1",
			"InvalidArgument: operations[2].call: is awaited, which only a stream of Execute can do",
			"InvalidArgument: operations[3].emit_with_ack: is awaited, which only a stream of Execute can do",
			"InvalidArgument: operations[4]: must be one of the operations that there are",
			"leave 1", "emit 1",
		} {
			got := showResult(&fanoutv1.ExecuteResponse_Result{Sequence: uint64(i), Result: resp.GetResults()[i], Last: true}) //nolint:gosec // small
			if want = fmt.Sprint(i, ": ", want); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		for _, want := range []string{`42["1"]`, `42["2"]`} {
			if got := c.Next(); got != want {
				t.Errorf("the browser got %q, want %q", got, want)
			}
		}
		_, err = client.Batch(w.ctx(), &fanoutv1.BatchRequest{Operations: make([]*fanoutv1.Operation, maxBatch+1)})
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "operations: 1001 operations, but at most 1000 are allowed") {
			t.Errorf("1001 operations: %v", err)
		}
		c.Close()
	})
}
