package backend

import (
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestCount: a count that lacks the connections of a node says so, and which.
func TestCount(t *testing.T) {
	inBubble(t, func(w *world) {
		b, id := w.connect()
		defer b.Close()
		client := w.dial()
		defer client.Close()
		n, err := client.Count(w.t.Context(), IDs(id))
		if n != 1 || err != nil {
			w.t.Errorf("counted %d, %v, want 1", n, err)
		}
		if w.nodes == nil {
			return
		}
		away, _ := w.nodes[2].Browsers.Connect(w.t, "")
		defer away.Close()
		w.settle()
		if n, err := client.Count(w.t.Context(), All()); n != 2 || err != nil {
			w.t.Errorf("with n3: counted %d, %v, want 2", n, err)
		}
		bus := w.nodes[2].Bus
		bus.Freeze("n3")
		n, err = client.Count(w.t.Context(), All())
		partial, ok := errors.AsType[*PartialError](err)
		if n != 1 || !ok || partial.Count != 1 || !slices.Equal(partial.Unreachable, []string{"n3"}) {
			w.t.Errorf("while n3 does not answer: counted %d, %v, want 1 without n3", n, err)
		}
		if status.Code(err) != codes.Unavailable {
			w.t.Errorf("its code is %s, want UNAVAILABLE", status.Code(err))
		}
		bus.Thaw("n3")
		time.Sleep(5 * time.Second) // of the bubble: until it is heard again
		if n, err := client.Count(w.t.Context(), All()); n != 2 || err != nil {
			w.t.Errorf("once n3 answers: counted %d, %v, want 2", n, err)
		}
	})
}
