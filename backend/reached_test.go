package backend

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// operations are all that Client does to connections, and Commands.
func operations(client *Client, x *Commands) map[string]func(context.Context, Target) (Reached, error) {
	nobody := ""
	applied := func(to Target) *fanoutv1.EmitRequest {
		return &fanoutv1.EmitRequest{To: to.Proto(), Event: "e", Wait: fanoutv1.EmitRequest_APPLIED}
	}
	return map[string]func(context.Context, Target) (Reached, error){
		"Send":  func(ctx context.Context, to Target) (Reached, error) { return client.Send(ctx, applied(to)) },
		"Join":  func(ctx context.Context, to Target) (Reached, error) { return client.Join(ctx, to, "r") },
		"Leave": func(ctx context.Context, to Target) (Reached, error) { return client.Leave(ctx, to, "r") },
		"Update": func(ctx context.Context, to Target) (Reached, error) {
			return client.Update(ctx, to, Update{User: &nobody})
		},
		"Commands.Send": func(ctx context.Context, to Target) (Reached, error) {
			return x.Send(applied(to)).Wait(ctx)
		},
		"Commands.Join":  func(ctx context.Context, to Target) (Reached, error) { return x.Join(to, "r").Wait(ctx) },
		"Commands.Leave": func(ctx context.Context, to Target) (Reached, error) { return x.Leave(to, "r").Wait(ctx) },
		"Commands.Update": func(ctx context.Context, to Target) (Reached, error) {
			return x.Update(to, Update{User: &nobody}).Wait(ctx)
		},
		"Disconnect": func(ctx context.Context, to Target) (Reached, error) {
			return client.Disconnect(ctx, to, DisconnectOptions{})
		},
		"Commands.Disconnect": func(ctx context.Context, to Target) (Reached, error) {
			return x.Disconnect(to, DisconnectOptions{}).Wait(ctx)
		},
	}
}

// TestReached: what is done says how many connections it reached, and which nodes of a cluster have not answered.
func TestReached(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		x := client.Commands(w.t.Context())
		defer x.Close()
		for name, do := range operations(client, x) {
			b, _ := w.connect() // anew for each, as some end it
			w.settle()
			reached, err := do(w.t.Context(), All())
			expect(t, name, fmt.Sprint(reached, err), "{1 false []} <nil>")
			b.Close()
			if w.nodes == nil {
				continue
			}
			b, _ = w.connect()
			away, _ := w.nodes[2].Browsers.Connect(w.t, "")
			w.settle()
			w.nodes[2].Bus.Freeze("n3")
			reached, err = do(w.t.Context(), All())
			expect(t, name+" while n3 does not answer", fmt.Sprint(reached, err), "{1 true [n3]} <nil>")
			w.nodes[2].Bus.Thaw("n3")
			time.Sleep(5 * time.Second) // of the bubble: until it is heard again
			b.Close()
			away.Close()
		}
	})
}

// TestConnReached: that a connection is gone is no error; that the node does not answer which may have it is one.
func TestConnReached(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		b, id := w.connect()
		defer b.Close()
		conn, gone := Conn{ID: id, Namespace: "/", client: client}, Conn{ID: "gone", Namespace: "/", client: client}
		user := "ada"
		for name, do := range map[string]func(context.Context, Conn) error{
			"Join":   func(ctx context.Context, c Conn) error { return c.Join(ctx, "r") },
			"Leave":  func(ctx context.Context, c Conn) error { return c.Leave(ctx, "r") },
			"Update": func(ctx context.Context, c Conn) error { return c.Update(ctx, Update{User: &user}) },
			"Disconnect": func(ctx context.Context, c Conn) error {
				return c.Disconnect(ctx, DisconnectOptions{Mode: DisconnectTransport})
			},
		} {
			expect(t, name+" of one that is gone", do(w.t.Context(), gone), nil)
			if w.nodes == nil {
				continue
			}
			w.nodes[0].Bus.Freeze("n1")
			err := do(w.t.Context(), conn)
			partial, ok := errors.AsType[*PartialError](err)
			if !ok || partial.Count != 0 || fmt.Sprint(partial.Unreachable) != "[n1]" {
				t.Errorf("%s while its node does not answer: %v, want a PartialError that names n1", name, err)
			}
			w.nodes[0].Bus.Thaw("n1")
			time.Sleep(5 * time.Second) // of the bubble: until it is heard again
		}
		expect(t, "Emit", conn.Emit(w.t.Context(), "e"), nil)
	})
}
