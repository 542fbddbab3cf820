package sio

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCloseTellsBackend: once Close has returned the backend has heard of every
// end, though a transport is still waited for, and nothing more is let in.
func TestCloseTellsBackend(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		deaf, _ := w.connect("") // reads nothing any more
		defer deaf.Close()
		busy, _ := w.connect("")
		busy.Idle()
		busy.Say(`42["block"]`)
		w.clearHeard()
		before := time.Now()
		if err := w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("it waited for the transports: %v", took)
		}
		heard := w.backend.take()
		ends := slices.DeleteFunc(slices.Clone(heard), func(s string) bool { return !strings.HasPrefix(s, "disconnected / server shutting down") })
		if len(ends) != 2 {
			t.Errorf("heard %q, want two ends", heard)
		}
		if _, err := w.Apply(context.Background(), event("x", "")); !errors.Is(err, ErrClosed) {
			t.Errorf("Apply: %v", err)
		}
		synctest.Wait()
	})
}
