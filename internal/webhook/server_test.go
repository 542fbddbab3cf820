package webhook

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// Endpoints come and go while events flow: none is lost, and those that stay go on.
func TestSet(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(_ http.ResponseWriter, _ *fanoutv1.Event) { time.Sleep(time.Second) }, func(w *world) {
		first := Endpoint{URL: "http://endpoint/a", Group: "a"}
		second := Endpoint{URL: "http://endpoint/b", Group: "b"}
		w.server.Set([]Endpoint{first, second})
		time.Sleep(time.Second)
		stays := w.server.members[first.key()]
		c, _ := w.browsers.Connect(t, "")
		defer c.Close()
		c.Say(`42["n",1]`)
		time.Sleep(time.Millisecond)
		second.Secrets = secrets(secret(t, 1))
		w.server.Set([]Endpoint{first, second})
		if w.server.members[first.key()] != stays {
			t.Error("the one that stayed began anew")
		}
		c.Say(`42["n",2]`)
		time.Sleep(time.Minute)
		signed := 0
		for _, r := range w.endpoint.came() {
			if r.event.GetAttempt() != 1 {
				t.Errorf("%q came once more", told([]request{r}))
			}
			if r.header.Get("Webhook-Signature") != "" {
				signed++
			}
		}
		if signed != 1 {
			t.Errorf("%d were signed, want the one after the change", signed)
		}
		for _, group := range []string{"a", "b"} {
			if n := w.server.Stats().Groups[group].Outcomes[handled]; n != 2 {
				t.Errorf("%s handled %d, want both", group, n)
			}
		}
		w.server.Set(nil)
		time.Sleep(time.Second)
		for _, g := range w.events.Groups() {
			if len(g.Subscriptions) > 0 {
				t.Errorf("%s has consumers: %v", g.Name, g.Subscriptions)
			}
		}
	})
}

// A webhook that was thrown out of its group comes back.
func TestThrownOut(t *testing.T) {
	inWorld(t, dispatch.Options{}, accept, func(w *world) {
		for _, throwOut := range []func() error{
			func() error {
				return w.events.DisconnectConsumer("hooks", w.events.Groups()[0].Subscriptions[0].ConsumerID)
			},
			func() error { _, err := w.events.DeleteGroup("hooks"); return err },
		} {
			if err := throwOut(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(maxPause)
			if groups := w.events.Groups(); len(groups) != 1 || len(groups[0].Subscriptions) != 1 {
				t.Errorf("the groups are %v", groups)
			}
		}
		if !w.logged.has("joins again") {
			t.Error("it was not logged")
		}
	})
}

// Close waits for the requests under way, as long as it may.
func TestClose(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(http.ResponseWriter, *fanoutv1.Event) { time.Sleep(5 * time.Second) }, func(w *world) {
		c, _ := w.browsers.Connect(t, "")
		c.Say(`42["n"]`)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.server.Close(ctx); err != nil {
			t.Error(err)
		}
		if n := w.server.Stats().Groups["hooks"].Outcomes[handled]; n != 1 {
			t.Errorf("%d were handled", n)
		}
		c.Close()
	})
	inWorld(t, dispatch.Options{}, func(http.ResponseWriter, *fanoutv1.Event) { time.Sleep(5 * time.Second) }, func(w *world) {
		c, _ := w.browsers.Connect(t, "")
		c.Say(`42["n"]`)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.server.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		c.Close()
		time.Sleep(10 * time.Second)
	})
}
