package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// watch starts a Tail and waits until it has begun.
func (w *world) watch(req *fanoutv1.TailRequest) grpc.ServerStreamingClient[fanoutv1.TailResponse] {
	w.t.Helper()
	s, err := w.client.Tail(w.ctx(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.Header(); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func seen(t *testing.T, s grpc.ServerStreamingClient[fanoutv1.TailResponse]) *fanoutv1.TailResponse {
	t.Helper()
	m, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if e := m.GetEvent(); e.GetDeliveryId() != "" || e.GetAttempt() != 0 {
		t.Errorf("%v looks like a delivery", e)
	}
	return m
}

func TestTail(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		all := w.watch(&fanoutv1.TailRequest{})
		text := w.watch(&fanoutv1.TailRequest{Kinds: []fanoutv1.Event_Kind{fanoutv1.Event_MESSAGE}, Decode: new(bool)})
		c, id := w.connect("/chat")
		deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
		c.Say(`42/chat,["hi",{"a":[1,"x"]},` + "null]")
		c.Say(`42/chat,["deep",` + deep + "]")
		c.Say("41/chat,")
		view := func(m *fanoutv1.TailResponse) string {
			e := m.GetEvent()
			var args []any
			for _, a := range e.GetArgs() {
				args = append(args, a.AsInterface())
			}
			if e.GetConnectionId() != id {
				t.Errorf("%v is of another connection than %s", e, id)
			}
			return fmt.Sprintf("%s %d %v %s%s", e.GetKind(), e.GetSequence(), args, e.GetArgsJson(), e.GetReason())
		}
		for _, want := range []string{
			"CONNECTED 1 [] ",
			"MESSAGE 2 [map[a:[1 x]] <nil>] ",
			"MESSAGE 3 [] [" + deep + "]",
			"DISCONNECTED 4 [] client namespace disconnect",
		} {
			if got := view(seen(t, all)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if got, want := view(seen(t, text)), `MESSAGE 2 [] [{"a":[1,"x"]},null]`; got != want {
			t.Errorf("as text: got %q, want %q", got, want)
		}
		c.Close()
	})
}

// Who decides on connections sees what they say; who watches does not.
// A pattern narrows as it does for consumers.
func TestTailPattern(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		s := w.watch(&fanoutv1.TailRequest{Namespaces: []string{"/ch*"}})
		other, _ := w.connect("")
		c, id := w.connect("/chat")
		if e := seen(t, s).GetEvent(); e.GetConnectionId() != id || e.GetKind() != fanoutv1.Event_CONNECTED {
			t.Errorf("got %v, want the start of the connection in /chat", e)
		}
		c.Close()
		other.Close()
	})
}

func TestTailHidesConnecting(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true})
		s := w.watch(&fanoutv1.TailRequest{})
		c := w.knock(`40{"token":"secret"}`)
		k.say(allowing(k.event(`CONNECTING / [{"token":"secret"}]`).GetDeliveryId(), nil))
		c.Next()
		if m := seen(t, s); m.GetEvent().GetKind() != fanoutv1.Event_CONNECTED {
			t.Errorf("got %v", m)
		}
		c.Close()
	})
}

func TestTailDrops(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		const events = 4000
		s := w.watch(&fanoutv1.TailRequest{Events: []string{"n"}, Kinds: []fanoutv1.Event_Kind{fanoutv1.Event_MESSAGE}})
		c, _ := w.connect("")
		pad := strings.Repeat("x", 1000)
		for i := range events {
			c.Say(fmt.Sprintf(`42["n",%d,"%s"]`, i, pad))
		}
		c.Say(`42["other"]`)
		synctest.Wait()
		// Reading makes room again: nothing after this is missed.
		got, missed := 0, 0
		next := 0.0
		read := func() *fanoutv1.TailResponse {
			m := seen(t, s)
			n := m.GetEvent().GetArgs()[0].GetNumberValue()
			if n < next {
				t.Fatalf("event %v came after %v", n, next-1)
			}
			next = n + 1
			got++
			missed += int(m.GetDropped())
			return m
		}
		for range 1024 {
			read()
		}
		synctest.Wait()
		c.Say(fmt.Sprintf(`42["n",%d]`, events))
		for next <= events {
			read()
		}
		if missed == 0 || got+missed != events+1 {
			t.Errorf("saw %d events and was told of %d more, of %d", got, missed, events+1)
		}
		c.Close()
	})
}

func TestTailRefuses(t *testing.T) {
	tests := []struct {
		name string
		req  *fanoutv1.TailRequest
		want []string
	}{
		{"an unknown namespace", &fanoutv1.TailRequest{Namespaces: []string{"/", "no"}}, []string{"namespaces[1]"}},
		{"too many namespaces", &fanoutv1.TailRequest{Namespaces: make([]string, 101)}, []string{"namespaces"}},
		{"a reserved event", &fanoutv1.TailRequest{Events: []string{"connect"}}, []string{"events[0]"}},
		{"an empty id", &fanoutv1.TailRequest{ConnectionIds: []string{"a", ""}}, []string{"connection_ids[1]"}},
		{"too many ids", &fanoutv1.TailRequest{ConnectionIds: slices.Repeat([]string{"a"}, 1001)}, []string{"connection_ids"}},
		{"kinds", &fanoutv1.TailRequest{Kinds: []fanoutv1.Event_Kind{fanoutv1.Event_CONNECTED, fanoutv1.Event_CONNECTING, 0, 9}},
			[]string{"kinds[1]", "kinds[2]", "kinds[3]"}},
	}
	inWorld(t, dispatch.Options{}, func(w *world) {
		for _, tt := range tests {
			s, err := w.client.Tail(w.ctx(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Recv()
			if got := fields(t, err); !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
		for range 100 {
			w.watch(nil)
		}
		s, err := w.client.Tail(w.ctx(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("one more: got %v, want RESOURCE_EXHAUSTED", err)
		}
	})
}

func TestTailDrains(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		s := w.watch(nil)
		before := time.Now()
		if err := w.control.Shutdown(w.ctx()); err != nil || time.Since(before) > time.Second {
			t.Errorf("Shutdown took %v: %v", time.Since(before), err)
		}
		if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v, want UNAVAILABLE", err)
		}
	})
}

func TestDecodeArgs(t *testing.T) {
	nested := func(levels int) string {
		return "[" + strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels) + "]"
	}
	tests := []struct {
		name, text string
		want       string // of fmt.Sprint; "-": left out
	}{
		{"none", "[]", "[]"},
		{"all kinds", `[null,true,1.5,"x",[1],{"a":{}}]`, "[<nil> true 1.5 x [1] map[a:map[]]]"},
		{"a lone surrogate", `["\ud800"]`, "[\uFFFD]"},
		{"a large integer", "[12345678901234567890]", "[1.2345678901234567e+19]"},
		{"no double", "[1e999]", "-"},
		{"deep", nested(30), "[" + strings.Repeat("map[a:", 30) + "1" + strings.Repeat("]", 30) + "]"},
		{"too deep", nested(31), "-"},
		{"far too deep", nested(20000), "-"},
		{"long", `["` + strings.Repeat("x", maxDecodedText-4) + `"]`, "[" + strings.Repeat("x", maxDecodedText-4) + "]"},
		{"too long", `["` + strings.Repeat("x", maxDecodedText-3) + `"]`, "-"},
		{"not there", "", "-"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := decodeArgs([]byte(tt.text))
			got := "-"
			if args != nil {
				got = fmt.Sprint((&structpb.ListValue{Values: args}).AsSlice())
			}
			if got != tt.want {
				t.Errorf("got %.200s, want %.200s", got, tt.want)
			}
		})
	}
}
