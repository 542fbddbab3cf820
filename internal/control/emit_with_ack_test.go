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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// answers reads an EmitWithAck to its end, one line for each message.
func answers(ctx context.Context, c fanoutv1.EmitterServiceClient, req *fanoutv1.EmitWithAckRequest) ([]string, error) {
	stream, err := c.EmitWithAck(ctx, req)
	if err != nil {
		return nil, err
	}
	var lines []string
	var asked *fanoutv1.EmitWithAckResponse_Started
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		if asked == nil {
			if asked = m.GetStarted(); asked == nil {
				return lines, fmt.Errorf("the first answer is %v, want started", m)
			}
			continue
		}
		switch m := m.GetResponse().(type) {
		case *fanoutv1.EmitWithAckResponse_Ack_:
			lines = append(lines, fmt.Sprintf("%s answered %s %q %d", m.Ack.GetConnectionId(), m.Ack.GetArgsJson(), m.Ack.GetAttachments(), len(m.Ack.GetArgs())))
		case *fanoutv1.EmitWithAckResponse_Failed_:
			lines = append(lines, m.Failed.GetConnectionId()+" "+m.Failed.GetReason().String())
		case *fanoutv1.EmitWithAckResponse_Summary_:
			s := m.Summary
			if s.GetExpected() != asked.GetExpected() {
				return lines, fmt.Errorf("%d were asked in the end, %d in the beginning", s.GetExpected(), asked.GetExpected())
			}
			lines = append(lines, fmt.Sprintf("expected %d acked %d timed out %d disconnected %d", s.GetExpected(), s.GetAcked(), s.GetTimedOut(), s.GetDisconnected()))
		}
	}
}

func seconds(n int64) *durationpb.Duration { return &durationpb.Duration{Seconds: n} }

func dialAsk(t *testing.T, hub Hub) fanoutv1.EmitterServiceClient {
	t.Helper()
	_, conn := dial(t, hub, Options{})
	return fanoutv1.NewEmitterServiceClient(conn)
}

func TestEmitWithAck(t *testing.T) {
	hub := newMemHub()
	for _, id := range []string{"a", "b", "c", "d"} {
		hub.connect("/", id, "")
	}
	hub.answer = func(id string) sio.AckResult {
		switch id {
		case "a":
			return sio.AckResult{Args: []byte(`[{"z":9007199254740993},2]`)}
		case "b":
			return sio.AckResult{Args: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}}
		case "c":
			return sio.AckResult{Outcome: sio.Disconnected}
		}
		return sio.AckResult{Outcome: sio.TimedOut}
	}
	c := dialAsk(t, hub)
	got, err := answers(t.Context(), c, &fanoutv1.EmitWithAckRequest{
		Emit: &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[1]`, Volatile: true}, Timeout: seconds(3), MaxAcks: 7,
	})
	want := []string{
		`a answered [{"z":9007199254740993},2] [] 0`,
		`b answered [{"_placeholder":true,"num":0}] ["\x01"] 0`,
		"c DISCONNECTED",
		"d TIMEOUT",
		"expected 4 acked 2 timed out 1 disconnected 1",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	ask := hub.asks[0]
	if ask.Timeout != 3*time.Second || ask.MaxAcks != 7 || !ask.Emit.Volatile || string(ask.Emit.Args) != "[1]" {
		t.Errorf("asked %+v", ask)
	}
	got, _ = answers(t.Context(), c, &fanoutv1.EmitWithAckRequest{
		Emit: &fanoutv1.EmitRequest{To: &fanoutv1.Target{Ids: []string{"a"}}, Event: "e"}, Timeout: seconds(3), Decode: true,
	})
	if want := `a answered [{"z":9007199254740993},2] [] 2`; got[0] != want {
		t.Errorf("decoded: got %s, want %s", got[0], want)
	}
	got, err = answers(t.Context(), c, &fanoutv1.EmitWithAckRequest{
		Emit: &fanoutv1.EmitRequest{To: toRoom("empty"), Event: "e"}, Timeout: seconds(3),
	})
	if err != nil || len(got) != 1 || got[0] != "expected 0 acked 0 timed out 0 disconnected 0" {
		t.Errorf("nobody: got %v, %v", got, err)
	}
}

func TestCall(t *testing.T) {
	hub := newMemHub("/chat")
	hub.connect("/chat", "a", "")
	outcome := sio.AckResult{Args: []byte(`["yes",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}}
	hub.answer = func(string) sio.AckResult { return outcome }
	c := dialAsk(t, hub)
	req := &fanoutv1.CallRequest{
		Namespace: "chat", Id: "a", Event: "e", ArgsJson: "[1]", Timeout: seconds(3), Decode: true,
	}
	resp, err := c.Call(t.Context(), req)
	if err != nil || resp.GetArgsJson() != string(outcome.Args) || len(resp.GetAttachments()) != 1 || resp.GetArgs()[0].GetStringValue() != "yes" {
		t.Errorf("got %v, %v", resp, err)
	}
	if to := hub.asks[0].Emit.To; to.Namespace != "/chat" || !slices.Equal(to.IDs, []string{"a"}) {
		t.Errorf("asked %+v", to)
	}

	outcome = sio.AckResult{Outcome: sio.TimedOut}
	if _, err := c.Call(t.Context(), req); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("no answer: %v, want DEADLINE_EXCEEDED", err)
	}
	outcome = sio.AckResult{Outcome: sio.Disconnected}
	_, err = c.Call(t.Context(), req)
	st := status.Convert(err)
	if st.Code() != codes.Aborted || st.Details()[0].(*errdetails.ErrorInfo).GetReason() != "DISCONNECTED" {
		t.Errorf("gone: %v, want ABORTED, DISCONNECTED", err)
	}
	req.Id = "b"
	if _, err := c.Call(t.Context(), req); status.Code(err) != codes.NotFound {
		t.Errorf("unknown id: %v, want NOT_FOUND", err)
	}
	hub.err = sio.ErrBusy
	_, err = c.Call(t.Context(), req)
	st = status.Convert(err)
	if st.Code() != codes.ResourceExhausted || st.Details()[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration() <= 0 {
		t.Errorf("busy: %v, want RESOURCE_EXHAUSTED with RetryInfo", err)
	}
}

func TestAskRefuses(t *testing.T) {
	hub := newMemHub()
	hub.maxPacket = 100
	hub.connect("/", "a", "")
	c := dialAsk(t, hub)
	big := `["` + strings.Repeat("x", 100) + `"]`
	emit := func(f func(*fanoutv1.EmitRequest)) *fanoutv1.EmitRequest {
		m := &fanoutv1.EmitRequest{To: toAll(), Event: "e"}
		f(m)
		return m
	}
	ok := emit(func(*fanoutv1.EmitRequest) {})
	for _, tt := range []struct {
		name string
		req  *fanoutv1.EmitWithAckRequest
		want []string
	}{
		{"nothing", &fanoutv1.EmitWithAckRequest{}, []string{"emit.to", "emit.event", "timeout"}},
		{"no timeout", &fanoutv1.EmitWithAckRequest{Emit: ok}, []string{"timeout"}},
		{"zero timeout", &fanoutv1.EmitWithAckRequest{Emit: ok, Timeout: seconds(0)}, []string{"timeout"}},
		{"negative timeout", &fanoutv1.EmitWithAckRequest{Emit: ok, Timeout: seconds(-1)}, []string{"timeout"}},
		{"too long a timeout", &fanoutv1.EmitWithAckRequest{Emit: ok, Timeout: seconds(24*3600 + 1)}, []string{"timeout"}},
		{"invalid timeout", &fanoutv1.EmitWithAckRequest{Emit: ok, Timeout: &durationpb.Duration{Seconds: 1, Nanos: -1}}, []string{"timeout"}},
		{"reserved event", &fanoutv1.EmitWithAckRequest{Emit: emit(func(m *fanoutv1.EmitRequest) { m.Event = "connect" }), Timeout: seconds(1)}, []string{"emit.event"}},
		{"idempotency key", &fanoutv1.EmitWithAckRequest{Emit: emit(func(m *fanoutv1.EmitRequest) { m.IdempotencyKey = "k" }), Timeout: seconds(1)}, []string{"emit.idempotency_key"}},
		{"key to conflate by", &fanoutv1.EmitWithAckRequest{Emit: emit(func(m *fanoutv1.EmitRequest) { m.ConflateKey = "k" }), Timeout: seconds(1)}, []string{"emit.conflate_key"}},
		{"no JSON", &fanoutv1.EmitWithAckRequest{Emit: emit(func(m *fanoutv1.EmitRequest) { m.ArgsJson = "[" }), Timeout: seconds(1)}, []string{"emit.args_json"}},
		{"too large", &fanoutv1.EmitWithAckRequest{Emit: emit(func(m *fanoutv1.EmitRequest) { m.ArgsJson = big }), Timeout: seconds(1)}, []string{"emit.args_json"}},
		{"unknown namespace", &fanoutv1.EmitWithAckRequest{Emit: emit(func(m *fanoutv1.EmitRequest) { m.To.Namespace = "/nope" }), Timeout: seconds(1)}, []string{"emit.to.namespace"}},
		{"unknown namespace and more", &fanoutv1.EmitWithAckRequest{Emit: emit(func(m *fanoutv1.EmitRequest) { m.To = &fanoutv1.Target{Namespace: "/nope", All: true} })}, []string{"timeout", "emit.to.namespace"}},
	} {
		t.Run("EmitWithAck/"+tt.name, func(t *testing.T) {
			_, err := answers(t.Context(), c, tt.req)
			if got := fields(t, err); !slices.Equal(got, tt.want) {
				t.Errorf("fields %v, want %v", got, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name string
		req  *fanoutv1.CallRequest
		want []string
	}{
		{"nothing", &fanoutv1.CallRequest{}, []string{"id", "event", "timeout"}},
		{"a missing attachment", &fanoutv1.CallRequest{Id: "a", Event: "e", Timeout: seconds(1), ArgsJson: `[{"_placeholder":true,"num":1}]`, Attachments: [][]byte{{1}}}, []string{"args_json"}},
		{"too large", &fanoutv1.CallRequest{Id: "a", Event: "e", Timeout: seconds(1), ArgsJson: big}, []string{"args_json"}},
		{"unknown namespace", &fanoutv1.CallRequest{Id: "a", Namespace: "/nope", Event: "e", Timeout: seconds(1)}, []string{"namespace"}},
		{"unknown namespace and more", &fanoutv1.CallRequest{Namespace: "/nope", Event: "e", Timeout: seconds(1)}, []string{"id", "namespace"}},
	} {
		t.Run("Call/"+tt.name, func(t *testing.T) {
			_, err := c.Call(t.Context(), tt.req)
			if got := fields(t, err); !slices.Equal(got, tt.want) {
				t.Errorf("fields %v, want %v", got, tt.want)
			}
		})
	}
	if n := len(hub.asks); n != 0 {
		t.Errorf("%d refused requests reached the hub", n)
	}
}

// The real server under the service: answers come as they arrive, and what a
// deadline or a cancelation leaves is accounted for.
func TestAskOverTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := sio.NewServer(sio.Options{Engine: engineio.Options{Logger: slog.New(slog.DiscardHandler)}})
		if err != nil {
			t.Fatal(err)
		}
		l := wiretest.Listen()
		hs := &http.Server{Handler: server}
		go hs.Serve(l)
		t.Cleanup(func() {
			if err := server.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			hs.Close()
		})
		a, idA := l.Connect(t, "")
		b, idB := l.Connect(t, "")
		c := dialAsk(t, server)
		req := &fanoutv1.EmitWithAckRequest{Emit: &fanoutv1.EmitRequest{To: toAll(), Event: "e"}, Timeout: seconds(60)}

		// The caller's deadline comes before the timeout: a summary all the same.
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := answers(ctx, c, req)
		want := "expected 2 acked 0 timed out 2 disconnected 0"
		if err != nil || len(got) != 3 || !slices.Contains(got, idA+" TIMEOUT") || !slices.Contains(got, idB+" TIMEOUT") || got[2] != want {
			t.Errorf("with a deadline: %v, %v", got, err)
		}
		if took := time.Since(start); took >= 10*time.Second || took < 9*time.Second {
			t.Errorf("answered after %v, want just before the deadline", took)
		}
		a.Next()
		b.Next()

		stream, err := c.EmitWithAck(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		question := a.Next()
		b.Next()
		if m, err := stream.Recv(); err != nil || m.GetStarted().GetExpected() != 2 {
			t.Errorf("at first: %v, %v", m, err)
		}
		a.Say(strings.Replace(strings.TrimSuffix(question, `["e"]`), "42", "43", 1) + `["at once"]`)
		m, err := stream.Recv()
		if err != nil || m.GetAck().GetConnectionId() != idA || m.GetAck().GetArgsJson() != `["at once"]` {
			t.Errorf("first answer: %v, %v", m, err)
		}
		b.Say("1")
		if m, err = stream.Recv(); err != nil || m.GetFailed().GetConnectionId() != idB || m.GetFailed().GetReason() != fanoutv1.EmitWithAckResponse_Failed_DISCONNECTED {
			t.Errorf("second: %v, %v", m, err)
		}
		if m, err = stream.Recv(); err != nil || m.GetSummary().GetExpected() != 2 {
			t.Errorf("summary: %v, %v", m, err)
		}

		go func() {
			q := strings.TrimSuffix(a.Next(), `["e"]`)
			a.Say(strings.Replace(q, "42", "43", 1) + `[2]`)
		}()
		resp, err := c.Call(t.Context(), &fanoutv1.CallRequest{Id: idA, Event: "e", Timeout: seconds(5)})
		if err != nil || resp.GetArgsJson() != "[2]" {
			t.Errorf("Call: %v, %v", resp, err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		stream, err = c.EmitWithAck(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		a.Next()
		if m, err = stream.Recv(); err != nil || m.GetStarted() == nil {
			t.Errorf("started: %v, %v", m, err)
		}
		cancel()
		if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
			t.Errorf("canceled: %v", err)
		}
		a.Close()
		b.Close()
	})
}
