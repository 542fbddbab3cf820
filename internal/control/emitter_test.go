package control

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

func value(t *testing.T, v any) *structpb.Value {
	t.Helper()
	out, err := structpb.NewValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEmit(t *testing.T) {
	all := sio.Target{Namespace: "/", Selector: room.Selector{All: true}}
	tests := []struct {
		name    string
		req     *fanoutv1.EmitRequest
		want    sio.Emit
		matched uint32
	}{
		{
			"no arguments",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e"},
			sio.Emit{To: all, Event: "e", Compress: true}, 3,
		},
		{
			"args",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", Args: []*structpb.Value{value(t, map[string]any{"b": 1, "a": "x"}), value(t, nil)}},
			sio.Emit{To: all, Event: "e", Args: []byte(`[{"a":"x","b":1},null]`), Compress: true}, 3,
		},
		{
			"args_json verbatim",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: ` [ 9007199254740993 , {"b":1,"a":2} ] `},
			sio.Emit{To: all, Event: "e", Args: []byte(` [ 9007199254740993 , {"b":1,"a":2} ] `), Compress: true}, 3,
		},
		{
			"attachments",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[{"_placeholder":true,"num":0}]`, Attachments: [][]byte{{1, 2}}},
			sio.Emit{To: all, Event: "e", Args: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}, Compress: true}, 3,
		},
		{
			"attachments that nobody refers to, or several, with more members",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[{"x":1,"_placeholder":true,"num":1},{"_placeholder":true,"num":1.0}]`, Attachments: [][]byte{{1}, {2}}},
			sio.Emit{To: all, Event: "e", Args: []byte(`[{"x":1,"_placeholder":true,"num":1},{"_placeholder":true,"num":1.0}]`), Attachments: [][]byte{{1}, {2}}, Compress: true}, 3,
		},
		{
			"what only looks like a placeholder",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[{"_placeholder":true,"num":0},{"_placeholder":true}]`},
			sio.Emit{To: all, Event: "e", Args: []byte(`[{"_placeholder":true,"num":0},{"_placeholder":true}]`), Compress: true}, 3,
		},
		{
			"flags",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", Volatile: true, Compress: proto.Bool(false), Wait: fanoutv1.EmitRequest_APPLIED},
			sio.Emit{To: all, Event: "e", Volatile: true, Applied: true}, 3,
		},
		{
			"a key to conflate by, that nobody else has",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", ConflateKey: "price/1"},
			sio.Emit{To: all, Event: "e", ConflateKey: "0  price/1", Compress: true}, 3,
		},
		{
			"a union",
			&fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{"r"}, Ids: []string{"a"}, Users: []string{"u"}}, Event: "e"},
			sio.Emit{To: sio.Target{Namespace: "/", Selector: room.Selector{Rooms: []string{"r"}, IDs: []string{"a"}, Users: []string{"u"}}}, Event: "e", Compress: true}, 2,
		},
		{
			"all but",
			&fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true, Except: []string{"a"}}, Event: "e"},
			sio.Emit{To: sio.Target{Namespace: "/", Selector: room.Selector{All: true, Except: []string{"a"}}}, Event: "e", Compress: true}, 2,
		},
		{
			"a namespace without its slash",
			&fanoutv1.EmitRequest{To: &fanoutv1.Target{Namespace: "chat", All: true}, Event: "e"},
			sio.Emit{To: sio.Target{Namespace: "/chat", Selector: room.Selector{All: true}}, Event: "e", Compress: true}, 1,
		},
		{
			"nobody",
			&fanoutv1.EmitRequest{To: toRoom("empty"), Event: "e"},
			sio.Emit{To: sio.Target{Namespace: "/", Selector: room.Selector{Rooms: []string{"empty"}}}, Event: "e", Compress: true}, 0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hub := newMemHub("/chat")
			hub.connect("/", "a", "u", "r")
			hub.connect("/", "b", "u")
			hub.connect("/", "c", "")
			hub.connect("/chat", "d", "")
			_, conn := dial(t, hub, Options{})
			resp, err := fanoutv1.NewEmitterServiceClient(conn).Emit(t.Context(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			if want := (&fanoutv1.EmitResponse{Matched: tt.matched}); !proto.Equal(resp, want) {
				t.Errorf("got %v, want %v", resp, want)
			}
			got := hub.emits()
			if len(got) != 1 {
				t.Fatalf("%d emits were applied, want 1", len(got))
			}
			if tt.want.Args == nil {
				tt.want.Args = []byte{}
			}
			if !reflect.DeepEqual(got[0], tt.want) {
				t.Errorf("applied\n%+v, want\n%+v", got[0], tt.want)
			}
		})
	}
}

func TestEmitRefuses(t *testing.T) {
	text := func(n int) [][]byte { return slices.Repeat([][]byte{{1}}, n) }
	number := func(f float64) []*structpb.Value {
		return []*structpb.Value{value(t, 1), structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewNumberValue(f)}})}
	}
	tests := []struct {
		name string
		req  *fanoutv1.EmitRequest
		want []string
	}{
		{"nothing", &fanoutv1.EmitRequest{}, []string{"to", "event"}},
		{"an empty target", &fanoutv1.EmitRequest{To: &fanoutv1.Target{}, Event: "e"}, []string{"to"}},
		{"only except", &fanoutv1.EmitRequest{To: &fanoutv1.Target{Except: []string{"r"}}, Event: "e"}, []string{"to"}},
		{"only a namespace", &fanoutv1.EmitRequest{To: &fanoutv1.Target{Namespace: "/"}, Event: "e"}, []string{"to"}},
		{"all and rooms", &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true, Rooms: []string{"r"}}, Event: "e"}, []string{"to"}},
		{"all and ids", &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true, Ids: []string{"a"}}, Event: "e"}, []string{"to"}},
		{"all and users", &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true, Users: []string{"u"}}, Event: "e"}, []string{"to"}},
		{
			"empty names",
			&fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{"r", ""}, Except: []string{""}, Ids: []string{""}, Users: []string{"u", "", ""}}, Event: "e"},
			[]string{"to.rooms[1]", "to.except[0]", "to.ids[0]", "to.users[1]", "to.users[2]"},
		},
		{"an unknown namespace", &fanoutv1.EmitRequest{To: &fanoutv1.Target{Namespace: "/no", All: true}, Event: "e"}, []string{"to.namespace"}},
		{
			"an unknown namespace among other problems",
			&fanoutv1.EmitRequest{To: &fanoutv1.Target{Namespace: "/no"}, ArgsJson: "["},
			[]string{"to", "event", "args_json", "to.namespace"},
		},
		{"a reserved event", &fanoutv1.EmitRequest{To: toAll(), Event: "disconnect"}, []string{"event"}},
		{"invalid JSON", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[1,]`}, []string{"args_json"}},
		{"blanks", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: ` `}, []string{"args_json"}},
		{"JSON that is no array", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `{"a":1}`}, []string{"args_json"}},
		{"both forms of arguments", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[1]`, Args: []*structpb.Value{value(t, 1)}}, []string{"args_json"}},
		{"NaN", &fanoutv1.EmitRequest{To: toAll(), Event: "e", Args: number(math.NaN())}, []string{"args[1]"}},
		{"infinity", &fanoutv1.EmitRequest{To: toAll(), Event: "e", Args: number(math.Inf(-1))}, []string{"args[1]"}},
		{"values of no kind", &fanoutv1.EmitRequest{To: toAll(), Event: "e", Args: []*structpb.Value{{}, value(t, 1), {}}}, []string{"args[0]", "args[2]"}},
		{"11 attachments", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[]`, Attachments: text(11)}, []string{"attachments"}},
		{"11 attachments and invalid JSON", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[`, Attachments: text(11)}, []string{"attachments", "args_json"}},
		{"a placeholder without attachment", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[{"_placeholder":true,"num":1}]`, Attachments: text(1)}, []string{"args_json"}},
		{
			"a placeholder without attachment in args",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", Args: []*structpb.Value{value(t, map[string]any{"_placeholder": true, "num": 1})}, Attachments: text(1)},
			[]string{"args"},
		},
		{"a long key", &fanoutv1.EmitRequest{To: toAll(), Event: "e", IdempotencyKey: strings.Repeat("k", 129)}, []string{"idempotency_key"}},
		{"a long key to conflate by", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ConflateKey: strings.Repeat("k", 129)}, []string{"conflate_key"}},
		{"a key to conflate by, and volatile", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ConflateKey: "k", Volatile: true}, []string{"conflate_key"}},
		{"an unknown wait", &fanoutv1.EmitRequest{To: toAll(), Event: "e", Wait: 7}, []string{"wait"}},
		{"too large by text", &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `["` + strings.Repeat("x", 1000) + `"]`}, []string{"args_json"}},
		{"too large by values", &fanoutv1.EmitRequest{To: toAll(), Event: "e", Args: []*structpb.Value{value(t, strings.Repeat("x", 1000))}}, []string{"args"}},
		{
			"too large by attachments",
			&fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: `[{"_placeholder":true,"num":0}]`, Attachments: [][]byte{make([]byte, 1000)}},
			[]string{"attachments"},
		},
		{
			"too many problems to list",
			&fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: make([]string, 100_000)}, Event: "e"},
			slices.Collect(func(yield func(string) bool) {
				for i := range maxViolations {
					yield(fmt.Sprintf("to.rooms[%d]", i))
				}
			}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hub := newMemHub()
			hub.maxPacket = 1000
			hub.connect("/", "a", "u", "r")
			_, conn := dial(t, hub, Options{})
			c := fanoutv1.NewEmitterServiceClient(conn)
			_, err := c.Emit(t.Context(), tt.req)
			if got := fields(t, err); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}

			// The same as an item of a batch: the path says which one.
			ok := &fanoutv1.EmitRequest{To: toAll(), Event: "ok"}
			batch, err := c.EmitBatch(t.Context(), &fanoutv1.EmitBatchRequest{Emits: []*fanoutv1.EmitRequest{ok, tt.req, ok}})
			if err != nil {
				t.Fatal(err)
			}
			r := batch.GetResults()
			if len(r) != 3 || r[0].GetStatus().GetCode() != 0 || r[0].GetResponse().GetMatched() != 1 || r[2].GetStatus().GetCode() != 0 {
				t.Fatalf("got %v, want the first and the last of three to succeed", batch)
			}
			if r[1].GetStatus().GetCode() != int32(codes.InvalidArgument) || r[1].GetResponse() != nil {
				t.Errorf("got %v, want INVALID_ARGUMENT", r[1])
			}
			for _, f := range tt.want {
				if !strings.Contains(r[1].GetStatus().GetMessage(), "emits[1]."+f+": ") {
					t.Errorf("%q does not name emits[1].%s", r[1].GetStatus().GetMessage(), f)
				}
			}
			for _, e := range hub.emits() {
				if e.Event != "ok" {
					t.Errorf("sent %+v", e)
				}
			}
		})
	}
}

func TestEmitBatch(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "")
	_, conn := dial(t, hub, Options{})
	c := fanoutv1.NewEmitterServiceClient(conn)

	t.Run("the most, in order", func(t *testing.T) {
		req := &fanoutv1.EmitBatchRequest{}
		for i := range maxBatch {
			req.Emits = append(req.Emits, &fanoutv1.EmitRequest{To: toAll(), Event: fmt.Sprint(i)})
		}
		resp, err := c.EmitBatch(t.Context(), req)
		if err != nil || len(resp.GetResults()) != maxBatch {
			t.Fatalf("got %d results, %v", len(resp.GetResults()), err)
		}
		for i, e := range hub.emits() {
			if e.Event != fmt.Sprint(i) {
				t.Fatalf("event %s came as number %d", e.Event, i)
			}
		}
	})
	t.Run("too many", func(t *testing.T) {
		before := hub.applied()
		_, err := c.EmitBatch(t.Context(), &fanoutv1.EmitBatchRequest{
			Emits: slices.Repeat([]*fanoutv1.EmitRequest{{To: toAll(), Event: "e"}}, maxBatch+1),
		})
		if got := fields(t, err); !slices.Equal(got, []string{"emits"}) {
			t.Errorf("got %q", got)
		}
		if hub.applied() != before {
			t.Error("some were sent")
		}
	})
	t.Run("none", func(t *testing.T) {
		resp, err := c.EmitBatch(t.Context(), &fanoutv1.EmitBatchRequest{})
		if err != nil || len(resp.GetResults()) != 0 {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}
