package webhook

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
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

// An endpoint that changes, or comes back while it is leaving, serves at once: it does not
// wait for the requests of its former self, which end as they would have, in order.
func TestSetDuringRequests(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world, e Endpoint)
	}{
		{"a change", func(w *world, e Endpoint) {
			e.Secrets = secrets(secret(w.t, 1))
			w.server.Set([]Endpoint{e})
		}},
		{"back again", func(w *world, e Endpoint) {
			w.server.Set(nil)
			synctest.Wait()
			w.server.Set([]Endpoint{e})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := Endpoint{URL: "http://endpoint/", Group: "hooks", Timeout: 10 * time.Minute, MaxInFlight: 1}
			inWorld(t, dispatch.Options{}, func(_ http.ResponseWriter, e *fanoutv1.Event) {
				if e.GetEvent() == "slow" {
					time.Sleep(5 * time.Minute)
				}
			}, func(w *world) {
				c, _ := w.browsers.Connect(t, "")
				defer c.Close()
				other, _ := w.browsers.Connect(t, "")
				defer other.Close()
				c.Idle()
				other.Idle()
				c.Say(`42["slow"]`)
				c.Say(`42["after"]`)
				synctest.Wait()
				tt.change(w, e)
				synctest.Wait()
				other.Say(`42["quick"]`)
				synctest.Wait()
				if got := told(w.endpoint.came()); !slices.Equal(got, []string{"slow []", "quick []"}) {
					t.Errorf("%q came while a request was under way", got)
				}
				time.Sleep(6 * time.Minute)
				if got := told(w.endpoint.came()); !slices.Equal(got, []string{"after []"}) {
					t.Errorf("then %q came, want what follows, once", got)
				}
				if got := w.server.Stats().Groups["hooks"].Outcomes; got[handled] != 3 || got[cancelled] != 0 {
					t.Errorf("outcomes %v", got)
				}
			}, e)
		})
	}
}

// Whatever the node is called, the id of a consumer is one, and unlike all others.
func TestConsumerID(t *testing.T) {
	seen := map[string]bool{}
	for _, node := range []string{"n", strings.Repeat("n", 128), strings.Repeat("n", 127) + "m"} {
		for _, url := range []string{"http://a", "http://b"} {
			for _, generation := range []uint64{1, math.MaxUint64} {
				id := newMember(New(Options{Node: node}), Endpoint{URL: url}, nil, generation).id
				if len(id) > 128 || seen[id] || !strings.HasPrefix(id, "webhook:n") {
					t.Errorf("of %d bytes, or not the first: %s", len(id), id)
				}
				seen[id] = true
			}
		}
	}
}

// The end of an attempt that was taken back does not end the next one of the delivery.
func TestFlights(t *testing.T) {
	f := flights{latest: map[string]*flight{}}
	first := f.begin(t.Context(), "d")
	f.cancel([]string{"d"})
	second := f.begin(t.Context(), "d")
	f.end(first)
	if err := context.Cause(first.ctx); err != errTakenBack { //nolint:errorlint // as it was canceled
		t.Errorf("the first ended by %v", err)
	}
	if second.ctx.Err() != nil {
		t.Error("the end of the first attempt ended the second")
	}
	f.cancel([]string{"d"})
	if second.ctx.Err() == nil {
		t.Error("the second is not found any more")
	}
	f.end(second)
	if len(f.latest) > 0 {
		t.Error("some are left")
	}
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
