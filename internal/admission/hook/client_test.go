package hook

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookv1 "github.com/fanoutd/fanoutd/gen/fanout/hook/v1"
	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestRequestArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := newTest(t, Options{Key: "k3y"})
		var got *hookv1.AuthorizeRequest
		b.set(func(ctx context.Context, req *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
			got = req
			if sent := metadata.ValueFromIncomingContext(ctx, "authorization"); !slices.Equal(sent, []string{"Bearer k3y"}) {
				t.Errorf("sent the key as %q", sent)
			}
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > DefaultTimeout {
				t.Errorf("deadline %v, %v", end, ok)
			}
			return allow(&hookv1.AuthorizeResponse_Allow{})(ctx, req)
		})
		b.start()
		r := request()
		known := r.Connection()
		at := time.Unix(1700000000, 0)
		known.Session = "s"
		known.Handshake.Query = map[string]string{"a": "b"}
		known.Handshake.URL, known.Handshake.Secure, known.Handshake.IssuedAt = "/socket.io/?a=b", true, at
		r.Connection = func() sio.Connection { return known }
		a, err := c.Decide(t.Context(), r, sio.Admission{User: "42"})
		if err != nil || !reflect.DeepEqual(a, sio.Admission{User: "42"}) {
			t.Fatalf("got %+v, %v", a, err)
		}
		want := &hookv1.AuthorizeRequest{
			Namespace: "/chat", ConnectionId: "abc", UserId: "42", AuthJson: `{"token":"s3cr3t"}`, Session: "s",
			Handshake: &hookv1.Handshake{
				Address: "192.0.2.1:5", IssuedAt: timestamppb.New(at), Url: "/socket.io/?a=b", Secure: true,
				Headers: map[string]string{"origin": "https://app.example.com"}, Query: map[string]string{"a": "b"},
			},
		}
		if !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func value(t *testing.T, v any) *structpb.Value {
	t.Helper()
	m, err := structpb.NewValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDecisions(t *testing.T) {
	object := func(v map[string]any) *structpb.Struct { return value(t, v).GetStructValue() }
	tests := []struct {
		name   string
		answer answer
		want   sio.Admission
		err    string // of the refusal or failure; empty: allowed
		data   string // of the refusal
		failed bool   // no refusal, but no decision
	}{
		{"allow", allow(&hookv1.AuthorizeResponse_Allow{UserId: "u", Rooms: []string{"a", "b"}, Data: object(map[string]any{"x": 1.0}), ExpireAt: timestamppb.New(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))}),
			sio.Admission{User: "u", Rooms: []string{"a", "b"}, Data: map[string]any{"x": 1.0}, Expire: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}, "", "", false},
		{"allow, saying nothing", allow(nil), sio.Admission{}, "", "", false},
		{"refuse", refuse(&hookv1.AuthorizeResponse_Refuse{Message: "banned", Data: value(t, map[string]any{"until": "<tomorrow>", "n": 1})}), sio.Admission{}, "banned", `{"n":1,"until":"\u003ctomorrow\u003e"}`, false},
		{"refuse with a word", refuse(&hookv1.AuthorizeResponse_Refuse{Message: "banned", Data: value(t, "w")}), sio.Admission{}, "banned", `"w"`, false},
		{"refuse, saying nothing", refuse(nil), sio.Admission{}, "not authorized", "", false},

		{"no decision", says(&hookv1.AuthorizeResponse{}), sio.Admission{}, "neither", "", true},
		{"allow with data as text", allow(&hookv1.AuthorizeResponse_Allow{DataJson: `{"n":12345678901234567890}`}), sio.Admission{Data: map[string]any{"n": json.Number("12345678901234567890")}}, "", "", false},
		{"refuse with data as text", refuse(&hookv1.AuthorizeResponse_Refuse{Message: "banned", DataJson: `{"n":12345678901234567890}`}), sio.Admission{}, "banned", `{"n":12345678901234567890}`, false},
		{"data in both forms", allow(&hookv1.AuthorizeResponse_Allow{Data: object(map[string]any{"x": 1.0}), DataJson: "{}"}), sio.Admission{}, "both", "", true},
		{"a refusal with data in both forms", refuse(&hookv1.AuthorizeResponse_Refuse{Data: value(t, 1), DataJson: "{}"}), sio.Admission{}, "both", "", true},
		{"data that is no object", allow(&hookv1.AuthorizeResponse_Allow{DataJson: `[1]`}), sio.Admission{}, "object", "", true},
		{"data that is null", allow(&hookv1.AuthorizeResponse_Allow{DataJson: `null`}), sio.Admission{}, "object", "", true},
		{"data with more behind", allow(&hookv1.AuthorizeResponse_Allow{DataJson: `{}{}`}), sio.Admission{}, "object", "", true},
		{"large data as text", allow(&hookv1.AuthorizeResponse_Allow{DataJson: `{"x":"` + strings.Repeat("x", 4096) + `"}`}), sio.Admission{}, "data_json has", "", true},
		{"a refusal with data that is no JSON", refuse(&hookv1.AuthorizeResponse_Refuse{DataJson: `{`}), sio.Admission{}, "not JSON", "", true},
		{"a long user", allow(&hookv1.AuthorizeResponse_Allow{UserId: strings.Repeat("x", 1025)}), sio.Admission{}, "user_id", "", true},
		{"many rooms", allow(&hookv1.AuthorizeResponse_Allow{Rooms: slices.Repeat([]string{"r"}, 257)}), sio.Admission{}, "257 rooms", "", true},
		{"an empty room", allow(&hookv1.AuthorizeResponse_Allow{Rooms: []string{"r", ""}}), sio.Admission{}, "rooms[1]", "", true},
		{"a long room", allow(&hookv1.AuthorizeResponse_Allow{Rooms: []string{strings.Repeat("x", 1025)}}), sio.Admission{}, "rooms[0]", "", true},
		{"large data", allow(&hookv1.AuthorizeResponse_Allow{Data: object(map[string]any{"x": strings.Repeat("x", 4096)})}), sio.Admission{}, "data has", "", true},
		{"a time beyond calendars", allow(&hookv1.AuthorizeResponse_Allow{ExpireAt: &timestamppb.Timestamp{Seconds: 1 << 60}}), sio.Admission{}, "expire_at", "", true},
		{"a long message", refuse(&hookv1.AuthorizeResponse_Refuse{Message: strings.Repeat("x", 1025)}), sio.Admission{}, "message", "", true},
		{"a refusal with large data", refuse(&hookv1.AuthorizeResponse_Refuse{Message: "m", Data: value(t, strings.Repeat("x", 4096))}), sio.Admission{}, "data has", "", true},
		{"an answer too large to read", allow(&hookv1.AuthorizeResponse_Allow{UserId: strings.Repeat("x", maxAnswer)}), sio.Admission{}, "ResourceExhausted", "", true},
		{"an error", func(context.Context, *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
			return nil, status.Error(codes.PermissionDenied, "key?")
		}, sio.Admission{}, "PermissionDenied", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where the year 2000 begins
				c, b := newTest(t, Options{})
				b.set(tt.answer)
				b.start()
				got, err := authorize(t.Context(), c)
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
				want := Stats{Allowed: 1}
				var refusal *sio.Refusal
				switch {
				case tt.failed:
					want = Stats{Failed: 1}
					if !errors.Is(err, errFailed) || errors.As(err, &refusal) || !strings.Contains(err.Error(), tt.err) {
						t.Errorf("got %v, want a failure with %q", err, tt.err)
					}
				case tt.err != "":
					want = Stats{Refused: 1}
					if !errors.As(err, &refusal) || refusal.Message != tt.err || string(refusal.Data) != tt.data {
						t.Errorf("got %v, want the refusal %q with %s", err, tt.err, tt.data)
					}
				case err != nil:
					t.Errorf("refused: %v", err)
				}
				if s := c.Stats(); s != want {
					t.Errorf("counts %+v, want %+v", s, want)
				}
			})
		})
	}
}

// TestMerged: what was granted before is added to, and an allowance that is over
// is none.
func TestMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where the year 2000 begins
		c, b := newTest(t, Options{})
		b.start()
		sofar := sio.Admission{User: "42", Rooms: []string{"a"}}
		b.set(allow(&hookv1.AuthorizeResponse_Allow{UserId: "7", Rooms: []string{"b"}}))
		if got, err := c.Decide(t.Context(), request(), sofar); err != nil || !reflect.DeepEqual(got, sio.Admission{User: "7", Rooms: []string{"a", "b"}}) {
			t.Errorf("got %+v, %v", got, err)
		}
		b.set(allow(&hookv1.AuthorizeResponse_Allow{ExpireAt: timestamppb.New(time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC))}))
		var refusal *sio.Refusal
		if got, err := c.Decide(t.Context(), request(), sofar); !errors.As(err, &refusal) || refusal.Message != admission.NotAuthorized {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// TestFailureMayPass: that nobody decided is told apart from a refusal.
func TestFailureMayPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, Options{})
		var unavailable *sio.Unavailable
		var refusal *sio.Refusal
		if _, err := authorize(t.Context(), c); !errors.As(err, &unavailable) || errors.As(err, &refusal) || unavailable.Message != "authorization unavailable" {
			t.Errorf("got %v", err)
		}
	})
}

func TestLargeAuthIsRefusedUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newTest(t, Options{})
		r := request()
		r.Auth = make([]byte, maxAuth+1)
		var refusal *sio.Refusal
		if _, err := c.Decide(t.Context(), r, sio.Admission{User: "42"}); !errors.As(err, &refusal) || refusal.Message != "auth too large" {
			t.Errorf("got %v", err)
		}
	})
}

func TestTimeoutRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := newTest(t, Options{})
		b.set(hangs)
		b.start()
		begun := time.Now()
		_, err := authorize(t.Context(), c)
		if !errors.Is(err, errFailed) || !strings.Contains(err.Error(), "DeadlineExceeded") {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begun); waited != DefaultTimeout {
			t.Errorf("waited %v", waited)
		}
		b.set(allow(nil))
		if _, err := authorize(t.Context(), c); err != nil {
			t.Errorf("the next: %v", err)
		}
		if s := c.Stats(); s != (Stats{Allowed: 1, Failed: 1}) {
			t.Errorf("counts %+v", s)
		}
	})
}

// TestConcurrency: no more calls than allowed are in flight; who gets no slot in
// time is not let in, and a slot is passed on.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := newTest(t, Options{Concurrency: 2})
		b.set(hangs)
		b.start()
		var waiting sync.WaitGroup
		refusedAs := func(want error) {
			waiting.Go(func() {
				if _, err := authorize(t.Context(), c); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
		refusedAs(errFailed)
		refusedAs(errFailed)
		synctest.Wait()
		time.Sleep(2 * time.Second)
		passed := make(chan error, 1)
		waiting.Go(func() {
			_, err := authorize(t.Context(), c)
			passed <- err
		})
		synctest.Wait()
		if s := c.Stats(); s.InFlight != 2 || len(passed) > 0 {
			t.Errorf("%+v", s)
		}
		b.set(allow(nil)) // the first two hang already
		waiting.Wait()
		if err := <-passed; err != nil {
			t.Errorf("no slot after the others: %v", err)
		}

		b.set(hangs)
		refusedAs(errFailed)
		refusedAs(errFailed)
		time.Sleep(time.Second)
		refusedAs(errFailed) // after the first two, with all of its time
		refusedAs(errFailed)
		time.Sleep(time.Second)
		begun := time.Now()
		if _, err := authorize(t.Context(), c); !errors.Is(err, errBusy) || time.Since(begun) != DefaultTimeout {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second/2) // before there is a slot
		defer cancel()
		waiting.Go(func() {
			if _, err := authorize(short, c); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errBusy) {
				t.Errorf("left while it waited: got %v", err)
			}
		})
		waiting.Wait()
		if s := c.Stats(); s != (Stats{Allowed: 1, Failed: 6, Busy: 1, Left: 1}) {
			t.Errorf("counts %+v", s)
		}
	})
}

func TestBackendIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := newTest(t, Options{})
		begun := time.Now()
		if _, err := authorize(t.Context(), c); !errors.Is(err, errFailed) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begun); waited != DefaultTimeout {
			t.Errorf("waited %v", waited)
		}
		// It restarts: who asks meanwhile is let in when it is back.
		b.start()
		if _, err := authorize(t.Context(), c); err != nil {
			t.Errorf("is there: %v", err)
		}
		b.stop()
		synctest.Wait() // a call on the old connection would end with it
		time.AfterFunc(time.Second, func() { b.start() })
		if _, err := authorize(t.Context(), c); err != nil {
			t.Errorf("back after a second: %v", err)
		}
		// Nor does it matter for how long it was away.
		b.stop()
		synctest.Wait()
		time.Sleep(time.Hour)
		b.start()
		if _, err := authorize(t.Context(), c); err != nil {
			t.Errorf("back after an hour: %v", err)
		}
		// It goes in the middle of a call.
		b.set(hangs)
		time.AfterFunc(time.Second, b.stop)
		if _, err := authorize(t.Context(), c); !errors.Is(err, errFailed) {
			t.Errorf("gone while asked: %v", err)
		}
	})
}

func TestEndOfTheSessionStopsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := newTest(t, Options{})
		stopped := make(chan time.Time, 1)
		b.set(func(ctx context.Context, _ *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
			<-ctx.Done()
			stopped <- time.Now()
			return nil, ctx.Err()
		})
		b.start()
		closed := errors.New("transport close")
		ctx, cancel := context.WithCancelCause(t.Context())
		begun := time.Now()
		time.AfterFunc(time.Second, func() { cancel(closed) })
		_, err := authorize(ctx, c)
		if !errors.Is(err, closed) || errors.Is(err, errFailed) {
			t.Errorf("got %v", err)
		}
		if at := <-stopped; at.Sub(begun) != time.Second {
			t.Errorf("the backend was told after %v", at.Sub(begun))
		}
		if s := c.Stats(); s != (Stats{Left: 1}) {
			t.Errorf("counts %+v", s)
		}
	})
}

// TestLog: an outage is told once in a while, and no secrets with it.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		c, b := newTest(t, Options{Key: "k3y", Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		b.set(func(context.Context, *hookv1.AuthorizeRequest) (*hookv1.AuthorizeResponse, error) {
			return nil, status.Error(codes.Internal, "broken")
		})
		b.start()
		for range 30 {
			if _, err := authorize(t.Context(), c); !errors.Is(err, errFailed) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(time.Second)
		}
		if n := strings.Count(logged.String(), "level=WARN"); n != 3 {
			t.Errorf("%d warnings in 30 seconds", n)
		}
		if n := strings.Count(logged.String(), "connections=10 error="); n != 2 {
			t.Errorf("%d warnings say how many connections:\n%s", n, logged.String())
		}
		if strings.Contains(logged.String(), "k3y") || strings.Contains(logged.String(), "s3cr3t") {
			t.Error("shows a secret")
		}
	})
}
