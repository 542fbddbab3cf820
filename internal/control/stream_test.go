package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/idempotency"
)

type emitClient = grpc.BidiStreamingClient[fanoutv1.EmitStreamRequest, fanoutv1.EmitStreamResponse]

func openStream(t *testing.T, ctx context.Context, conn *grpc.ClientConn) emitClient {
	t.Helper()
	s, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func item(sequence uint64, event string) *fanoutv1.EmitStreamRequest {
	return &fanoutv1.EmitStreamRequest{Sequence: sequence, Emit: &fanoutv1.EmitRequest{To: toAll(), Event: event}}
}

// readAll reads answers up to the end of the stream and adds them up, checking
// that each one goes on from the last.
func readAll(t *testing.T, s emitClient) (through uint64, errs []*fanoutv1.EmitStreamResponse_Error, err error) {
	t.Helper()
	draining := false
	for {
		resp, err := s.Recv()
		if err != nil {
			return through, errs, err
		}
		if resp.GetAckedThrough() < through || (draining && !resp.GetDraining()) {
			t.Errorf("%v goes back behind %d", resp, through)
		}
		through, draining = resp.GetAckedThrough(), resp.GetDraining()
		errs = append(errs, resp.GetErrors()...)
	}
}

func TestEmitStreamKeepsOrder(t *testing.T) {
	const items = 5000
	hub := newMemHub()
	_, conn := dial(t, hub, Options{})
	s := openStream(t, t.Context(), conn)
	go func() {
		for i := range items {
			if err := s.Send(item(uint64(i+1)*3, fmt.Sprint(i))); err != nil {
				t.Error(err)
				return
			}
		}
		if err := s.CloseSend(); err != nil {
			t.Error(err)
		}
	}()
	through, errs, err := readAll(t, s)
	if through != items*3 || len(errs) != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("acked through %d with errors %v, then %v", through, errs, err)
	}
	emits := hub.emits()
	if len(emits) != items {
		t.Fatalf("%d were applied, want %d", len(emits), items)
	}
	for i, e := range emits {
		if e.Event != fmt.Sprint(i) {
			t.Fatalf("event %s came as number %d", e.Event, i)
		}
	}
}

func TestEmitStreamLivesOnBadItems(t *testing.T) {
	bad := func(sequence uint64, change func(*fanoutv1.EmitStreamRequest)) *fanoutv1.EmitStreamRequest {
		m := item(sequence, "bad")
		change(m)
		return m
	}
	items := []struct {
		req  *fanoutv1.EmitStreamRequest
		want string // field in the message; empty: no error
	}{
		{item(0, "bad"), "sequence"},
		{item(5, "ok 5"), ""},
		{item(5, "bad"), "sequence"},
		{item(4, "bad"), "sequence"},
		{bad(6, func(m *fanoutv1.EmitStreamRequest) { m.Emit = nil }), "emit.to"},
		{bad(7, func(m *fanoutv1.EmitStreamRequest) { m.Emit.Event = "connect" }), "emit.event"},
		{bad(8, func(m *fanoutv1.EmitStreamRequest) { m.Emit.To.Namespace = "/no" }), "emit.to.namespace"},
		{bad(9, func(m *fanoutv1.EmitStreamRequest) { m.Emit.ArgsJson = "[" }), "emit.args_json"},
		{item(20, "ok 20"), ""},
		{bad(20, func(m *fanoutv1.EmitStreamRequest) {}), "sequence"},
		{bad(21, func(m *fanoutv1.EmitStreamRequest) { m.Emit.Event = "" }), "emit.event"},
	}
	hub := newMemHub()
	_, conn := dial(t, hub, Options{})
	s := openStream(t, t.Context(), conn)
	type failure struct {
		sequence uint64
		field    string
	}
	var want []failure
	for _, i := range items {
		if err := s.Send(i.req); err != nil {
			t.Fatal(err)
		}
		if i.want != "" {
			want = append(want, failure{i.req.GetSequence(), i.want})
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	through, errs, err := readAll(t, s)
	if through != 21 || !errors.Is(err, io.EOF) {
		t.Errorf("acked through %d, then %v, want 21 and the end", through, err)
	}
	if len(errs) != len(want) {
		t.Fatalf("got %v, want %v", errs, want)
	}
	for i, e := range errs {
		if e.GetSequence() != want[i].sequence || e.GetStatus().GetCode() != int32(codes.InvalidArgument) ||
			!strings.Contains(e.GetStatus().GetMessage(), want[i].field+": ") {
			t.Errorf("got %v, want %v", e, want[i])
		}
	}
	var sent []string
	for _, e := range hub.emits() {
		sent = append(sent, e.Event)
	}
	if !slices.Equal(sent, []string{"ok 5", "ok 20"}) {
		t.Errorf("sent %q", sent)
	}
}

func TestEmitStreamWithKey(t *testing.T) {
	hub := newMemHub()
	_, conn := dial(t, hub, Options{})
	s := openStream(t, t.Context(), conn)
	for i := range uint64(3) {
		m := item(i+1, "e")
		m.Emit.IdempotencyKey = "k"
		if err := s.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if through, errs, err := readAll(t, s); through != 3 || len(errs) != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("acked through %d with errors %v, then %v", through, errs, err)
	}
	if n := hub.applied(); n != 1 {
		t.Errorf("applied %d times, want 1", n)
	}
}

func TestEmitStreamAnswersWithoutClose(t *testing.T) {
	_, conn := dial(t, newMemHub(), Options{})
	s := openStream(t, t.Context(), conn)
	for i := range uint64(3) {
		if err := s.Send(item(i+1, "e")); err != nil {
			t.Fatal(err)
		}
		if resp, err := s.Recv(); err != nil || resp.GetAckedThrough() != i+1 {
			t.Fatalf("got %v, %v, want %d acked", resp, err, i+1)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want nothing more", err)
	}
}

// A caller that does not close its side is not waited for.
func TestEmitStreamEndsAfterDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, conn := dial(t, newMemHub(), Options{})
		s := openStream(t, t.Context(), conn)
		synctest.Wait()
		before := time.Now()
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(before); took != drainWait {
			t.Errorf("Shutdown took %v, want %v", took, drainWait)
		}
		if _, _, err := readAll(t, s); status.Code(err) != codes.Unavailable {
			t.Errorf("the stream ended with %v, want UNAVAILABLE", err)
		}
	})
}

func TestEmitStreamDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newMemHub()
		srv, conn := dial(t, hub, Options{})
		s := openStream(t, t.Context(), conn)
		synctest.Wait()
		srv.Drain()
		if resp, err := s.Recv(); err != nil || !resp.GetDraining() || resp.GetAckedThrough() != 0 {
			t.Fatalf("got %v, %v, want draining", resp, err)
		}
		if err := s.Send(item(1, "late")); err != nil {
			t.Fatal(err)
		}
		if resp, err := s.Recv(); err != nil || !resp.GetDraining() || resp.GetAckedThrough() != 1 {
			t.Fatalf("got %v, %v, want 1 acked and draining", resp, err)
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want the end", err)
		}
		if hub.applied() != 1 {
			t.Error("the late item was not applied")
		}
	})
}

func TestEmitStreamCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newMemHub()
		applying := make(chan struct{})
		hub.before = func(ctx context.Context) {
			close(applying)
			<-ctx.Done()
		}
		_, conn := dial(t, hub, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		s := openStream(t, ctx, conn)
		if err := s.Send(item(1, "e")); err != nil {
			t.Fatal(err)
		}
		<-applying
		cancel()
		if _, err := s.Recv(); status.Code(err) != codes.Canceled {
			t.Errorf("got %v, want CANCELED", err)
		}
		// What the stream ran has ended: otherwise the shutdown at the end of
		// this test waits for it until its deadline, and the test fails.
	})
}

func TestEmitStreamStopsReadingBehindHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newMemHub()
		open := make(chan struct{})
		hub.before = func(context.Context) { <-open }
		_, conn := dial(t, hub, Options{}, grpc.WithInitialWindowSize(64<<10))
		s := openStream(t, t.Context(), conn)
		const items = 300
		args := `["` + strings.Repeat("x", 32<<10) + `"]`
		sent := 0
		go func() {
			for i := range uint64(items) {
				m := item(i+1, "e")
				m.Emit.ArgsJson = args
				if err := s.Send(m); err != nil {
					t.Error(err)
				}
				sent++
			}
			if err := s.CloseSend(); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if sent == 0 || sent > 100 {
			t.Errorf("%d items of 32 KiB went out while the first was being applied, want a window's worth", sent)
		}
		close(open)
		if through, errs, err := readAll(t, s); through != items || len(errs) != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("acked through %d with errors %v, then %v", through, errs, err)
		}
	})
}

// slowStream is the server's end of a stream whose caller reads when told to.
type slowStream struct {
	grpc.BidiStreamingServer[fanoutv1.EmitStreamRequest, fanoutv1.EmitStreamResponse]
	read chan *fanoutv1.EmitStreamResponse
	ctx  context.Context
}

func (s *slowStream) Send(m *fanoutv1.EmitStreamResponse) error {
	select {
	case s.read <- m:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func TestAcksCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAcks()
		s := &slowStream{read: make(chan *fanoutv1.EmitStreamResponse), ctx: t.Context()}
		sent := make(chan error, 1)
		go func() { sent <- a.send(s, nil) }()

		add := func(from, through uint64) {
			for i := from; i <= through; i++ {
				if err := a.add(t.Context(), i, i, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		add(1, 1)
		synctest.Wait() // it is sending the first ack
		add(2, 1000)
		for _, want := range []uint64{1, 1000} {
			if m := <-s.read; m.GetAckedThrough() != want {
				t.Errorf("got %v, want %d acked", m, want)
			}
		}
		synctest.Wait()
		add(1001, 1001)
		a.finish()
		if m := <-s.read; m.GetAckedThrough() != 1001 {
			t.Errorf("got %v, want 1001 acked", m)
		}
		if err := <-sent; err != nil {
			t.Errorf("send: %v", err)
		}
	})
}

func TestAcksBoundErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAcks()
		ctx, cancel := context.WithCancel(t.Context())
		s := &slowStream{read: make(chan *fanoutv1.EmitStreamResponse), ctx: ctx}
		sent := make(chan error, 1)
		go func() { sent <- a.send(s, nil) }()

		refusal := status.Error(codes.InvalidArgument, "no")
		added := 0
		ended := make(chan error, 1)
		go func() {
			for i := uint64(1); ; i++ {
				if err := a.add(ctx, i, i, refusal); err != nil {
					ended <- err
					return
				}
				added++
			}
		}()
		next := uint64(1)
		for range 5 {
			synctest.Wait()
			if held := added - int(next-1); held < maxErrorBacklog || held > 2*maxErrorBacklog {
				t.Fatalf("%d errors wait, want a backlog of %d behind the answer under way", held, maxErrorBacklog)
			}
			for _, e := range (<-s.read).GetErrors() {
				if e.GetSequence() != next {
					t.Fatalf("got the error of %d, want that of %d", e.GetSequence(), next)
				}
				next++
			}
		}
		cancel()
		if err := <-ended; status.Code(err) != codes.Canceled {
			t.Errorf("add: got %v, want CANCELED", err)
		}
		a.finish()
		if err := <-sent; !errors.Is(err, context.Canceled) {
			t.Errorf("send: got %v, want canceled", err)
		}
	})
}

// panickyStream is a stream whose peer has sent one item and then waits.
type panickyStream struct {
	grpc.ServerStream
	ctx  context.Context
	got  bool
	send func() error
}

func (s *panickyStream) Context() context.Context { return s.ctx }

func (s *panickyStream) Send(*fanoutv1.EmitStreamResponse) error { return s.send() }

func (s *panickyStream) Recv() (*fanoutv1.EmitStreamRequest, error) {
	if s.got {
		<-s.ctx.Done()
		return nil, s.ctx.Err()
	}
	s.got = true
	return item(1, "e"), nil
}

// A panic on either of a stream's goroutines ends that stream and both of them, and
// nothing else.
func TestEmitStreamPanics(t *testing.T) {
	bug := func() { panic("a secret") }
	for name, tt := range map[string]struct {
		before func(context.Context) // an item is applied
		send   func() error
	}{
		"receiver": {func(context.Context) { bug() }, func() error { return nil }},
		"sender":   {nil, func() error { bug(); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := newMemHub()
				hub.before = tt.before
				e := newEmitter(hub, idempotency.NewTable(1), newErrorReporter(slog.New(slog.DiscardHandler)), make(chan struct{}))
				ctx, cancel := context.WithCancel(identity.NewContext(t.Context(), identity.Unlimited("")))
				err := e.EmitStream(&panickyStream{ctx: ctx, send: tt.send})
				if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.Message(), "secret") {
					t.Errorf("the stream ended with %v, want INTERNAL and no more", err)
				}
				cancel() // the end of the call
				e.Wait() // and nothing is left in the bubble
			})
		})
	}
}
