package dispatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDrainDelivers: what a consumer is there for is waited for while it settles, what
// nobody is there for is not, and both are told apart in the result.
func TestDrainDelivers(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		k := w.subscribe(SubscriptionOptions{Lifecycle: true, MaxInFlight: 1})
		left := w.subscribe(SubscriptionOptions{Group: "left", Lifecycle: true})
		c, _ := w.connect("")
		ok(t, left.Ack(left.expect(t, "connected /")[0].ID())) // so that what it asked for is remembered
		left.Close()
		c.Say(`42["n",0]`)
		c.Idle()
		synctest.Wait()
		if err := w.server.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		drained := make(chan map[string]int, 1)
		go func() { drained <- w.Drain(context.Background()) }()
		for _, want := range []Kind{Connected, Message, Disconnected} {
			d, err := k.Next(context.Background())
			if err != nil || d.Kind != want {
				t.Fatalf("got %v, %v, want kind %v", d.Event, err, want)
			}
			time.Sleep(time.Second)
			select {
			case <-drained:
				t.Fatal("did not wait for what is in flight")
			default:
			}
			if err := k.Ack(d.ID()); err != nil {
				t.Fatal(err)
			}
		}
		undelivered := <-drained
		if n, ok := undelivered["g"]; ok {
			t.Errorf("%d events of a group that has settled everything were not delivered", n)
		}
		expect(t, "events that nobody is there for", undelivered["left"], 2)
	})
}

// TestDrainEndsWithContext: it ends with its context, and says what is left.
func TestDrainEndsWithContext(t *testing.T) {
	inBubble(t, Options{StallTimeout: time.Hour}, func(w *world) {
		w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		c.Say(`42["n",0]`)
		c.Say(`42["n",1]`)
		c.Idle()
		synctest.Wait()
		if err := w.server.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if got := w.Drain(ctx); got["g"] != 2 || len(got) != 1 {
			t.Errorf("not delivered: %v, want 2 of g", got)
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Error("it did not wait")
		}
	})
}

// TestDrainOwnerLeaves: events whose only consumer leaves are nobody's, and not
// waited for any more.
func TestDrainOwnerLeaves(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		k := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		c.Say(`42["n",0]`)
		c.Idle()
		synctest.Wait()
		if err := w.server.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, k.Close)
		if got := w.Drain(context.Background()); got["g"] != 1 {
			t.Errorf("not delivered: %v, want 1 of g", got)
		}
	})
}

// TestDrainCountsNothingSettled: what was settled before an earlier event of its
// connection was is not counted as undelivered.
func TestDrainCountsNothingSettled(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		k := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		for _, text := range numbered(3) {
			c.Say(text)
		}
		ds := k.expect(t, "message / n[0]", "message / n[1]", "message / n[2]")
		ok(t, k.Ack(ds[1].ID()))
		ok(t, k.Ack(ds[2].ID()))
		c.Close()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		expect(t, "not delivered", w.Drain(ctx)["g"], 1)
	})
}
