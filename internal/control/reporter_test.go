package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// failing is a Dispatcher that answers err to everything that can fail.
type failing struct {
	*dispatch.Dispatcher
	err error
}

func (f failing) Subscribe(dispatch.SubscriptionOptions) (*dispatch.Subscription, error) {
	return nil, f.err
}
func (f failing) Reply(string, []string, []byte, [][]byte) error   { return f.err }
func (f failing) Tail(dispatch.TailFilter) (*dispatch.Tail, error) { return nil, f.err }

// joinable fails as failing does, but lets consumers in.
type joinable struct{ failing }

func (j joinable) Subscribe(s dispatch.SubscriptionOptions) (*dispatch.Subscription, error) {
	return j.Dispatcher.Subscribe(s)
}

// lockedBuilder is a log that several goroutines write.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns what was logged and begins anew.
func (l *lockedBuilder) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.TrimSuffix(l.b.String(), "\n")
	l.b.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// failures are one call of each kind that reaches the Hub or the Dispatcher, each
// with what becomes of its error: the status of the call or of one item.
var failures = []struct {
	method string
	call   func(context.Context, *grpc.ClientConn) (codes.Code, string)
}{
	{fanoutv1.EmitterService_Emit_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		_, err := fanoutv1.NewEmitterServiceClient(c).Emit(ctx, &fanoutv1.EmitRequest{To: toAll(), Event: "e"})
		return status.Code(err), err.Error()
	}},
	{fanoutv1.EmitterService_Emit_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		_, err := fanoutv1.NewEmitterServiceClient(c).Emit(ctx, &fanoutv1.EmitRequest{To: toAll(), Event: "e", IdempotencyKey: "k"})
		return status.Code(err), err.Error()
	}},
	{fanoutv1.EmitterService_EmitBatch_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		resp, err := fanoutv1.NewEmitterServiceClient(c).EmitBatch(ctx, &fanoutv1.EmitBatchRequest{
			Emits: []*fanoutv1.EmitRequest{{To: toAll(), Event: "e"}},
		})
		if err != nil {
			return codes.OK, err.Error()
		}
		return codes.Code(resp.GetResults()[0].GetStatus().GetCode()), resp.GetResults()[0].GetStatus().GetMessage()
	}},
	{fanoutv1.EmitterService_EmitStream_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		s, err := fanoutv1.NewEmitterServiceClient(c).EmitStream(ctx)
		if err != nil {
			return codes.OK, err.Error()
		}
		_ = s.Send(&fanoutv1.EmitStreamRequest{Sequence: 1, Emit: &fanoutv1.EmitRequest{To: toAll(), Event: "e"}})
		resp, err := s.Recv()
		if err != nil {
			return codes.OK, err.Error()
		}
		return codes.Code(resp.GetErrors()[0].GetStatus().GetCode()), resp.GetErrors()[0].GetStatus().GetMessage()
	}},
	{fanoutv1.EmitterService_Call_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		_, err := fanoutv1.NewEmitterServiceClient(c).Call(ctx, &fanoutv1.CallRequest{Id: "a", Event: "e", Timeout: seconds(1)})
		return status.Code(err), err.Error()
	}},
	{fanoutv1.RegistryService_Join_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		_, err := fanoutv1.NewRegistryServiceClient(c).Join(ctx, &fanoutv1.JoinRequest{To: toAll(), Rooms: []string{"r"}})
		return status.Code(err), err.Error()
	}},
	{fanoutv1.EventService_Reply_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		_, err := fanoutv1.NewEventServiceClient(c).Reply(ctx, &fanoutv1.ReplyRequest{DeliveryId: "a.1"})
		return status.Code(err), err.Error()
	}},
	{fanoutv1.EventService_Tail_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		s, err := fanoutv1.NewEventServiceClient(c).Tail(ctx, &fanoutv1.TailRequest{})
		if err != nil {
			return codes.OK, err.Error()
		}
		_, err = s.Recv()
		return status.Code(err), err.Error()
	}},
	{fanoutv1.EventService_Consume_FullMethodName, func(ctx context.Context, c *grpc.ClientConn) (codes.Code, string) {
		s, err := fanoutv1.NewEventServiceClient(c).Consume(ctx)
		if err != nil {
			return codes.OK, err.Error()
		}
		_ = s.Send(opening(&fanoutv1.ConsumeRequest_Open{Group: "g"}))
		_, err = s.Recv()
		return status.Code(err), err.Error()
	}},
}

// What fails for a reason that is nobody's mistake is told to the operator,
// once, and to the caller only as INTERNAL.
func TestUnknownErrorsAreLogged(t *testing.T) {
	for i, tt := range failures {
		t.Run(fmt.Sprint(i, tt.method), func(t *testing.T) {
			for _, cause := range []error{
				errors.New("a secret"),
				fmt.Errorf("asking a peer: %w", status.Error(codes.NotFound, "a secret")), // of another server
				status.Error(codes.Unknown, "a secret"),
			} {
				hub := newMemHub()
				hub.err = cause
				var log lockedBuilder
				_, conn := dial(t, hub, Options{
					Dispatcher: DispatcherOf(failing{dispatch.New(dispatch.Options{}), cause}), Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				code, text := tt.call(t.Context(), conn)
				if code != codes.Internal || strings.Contains(text, "secret") {
					t.Errorf("%v: got %v, %q, want INTERNAL that says nothing", cause, code, text)
				}
				lines := log.lines()
				if len(lines) != 1 || !strings.Contains(lines[0], "level=ERROR") ||
					!strings.Contains(lines[0], "method="+tt.method) || !strings.Contains(lines[0], "a secret") {
					t.Errorf("%v: logged %q, want one error with the method and the cause", cause, lines)
				}
			}
		})
	}
}

// An item of a Consume stream that fails so is logged too, and rejected.
func TestUnknownErrorsOfDeliveriesAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuilder
		d := dispatch.New(dispatch.Options{})
		_, conn := dial(t, newMemHub(), Options{
			Dispatcher: DispatcherOf(joinable{failing{d, errors.New("a secret")}}), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		w := &world{t: t, events: d, client: fanoutv1.NewEventServiceClient(conn)}
		k := w.consume(&fanoutv1.ConsumeRequest_Open{})
		k.say(replying("a.1", ""))
		k.rejection("a.1", codes.Internal, "internal error")
		if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "a secret") ||
			!strings.Contains(lines[0], "method="+fanoutv1.EventService_Consume_FullMethodName) {
			t.Errorf("logged %q, want one error with the method and the cause", lines)
		}
	})
}

// That a caller went away or was out of time is no failure of ours.
func TestContextErrorsAreNotLogged(t *testing.T) {
	for _, cause := range []struct {
		err  error
		want codes.Code
	}{
		{fmt.Errorf("asking: %w", context.Canceled), codes.Canceled},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
	} {
		hub := newMemHub()
		hub.err = cause.err
		var log lockedBuilder
		_, conn := dial(t, hub, Options{
			Dispatcher: DispatcherOf(failing{dispatch.New(dispatch.Options{}), cause.err}), Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		for i, tt := range failures {
			if code, text := tt.call(t.Context(), conn); code != cause.want || strings.Contains(text, "asking") {
				t.Errorf("%d %s: got %v, %q, want %v", i, tt.method, code, text, cause.want)
			}
		}
		if lines := log.lines(); len(lines) != 0 {
			t.Errorf("logged %q", lines)
		}
	}
}

// A method that fails at every call does not flood the log, nor does it hide
// the failures of another.
func TestErrorLogIsRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuilder
		r := newErrorReporter(slog.New(slog.NewTextHandler(&log, nil)))
		const failed = 1000
		for i := range failed {
			if err := r.Code(t.Context(), "/noisy", fmt.Errorf("failure %d", i)); status.Code(err) != codes.Internal {
				t.Fatalf("got %v, want INTERNAL", err)
			}
		}
		logged := len(log.lines())
		if logged != maxErrorBurst {
			t.Errorf("%d failures at once made %d lines, want %d", failed, logged, maxErrorBurst)
		}
		_ = r.Code(t.Context(), "/quiet", errors.New("another"))
		if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "another") {
			t.Errorf("the other method: logged %q", lines)
		}
		time.Sleep(errorInterval)
		_ = r.Code(t.Context(), "/noisy", errors.New("later"))
		want := fmt.Sprintf("suppressed=%d", failed-logged)
		if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "later") || !strings.Contains(lines[0], want) {
			t.Errorf("logged %q, want one line with %s", lines, want)
		}
	})
}
