package webhook

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// An endpoint that handles others, and always fails at one event, makes that a dead letter.
func TestPoison(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w http.ResponseWriter, e *fanoutv1.Event) {
		if e.GetEvent() == "poison" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}, func(w *world) {
		c, _ := w.browsers.Connect(t, "")
		defer c.Close()
		other, _ := w.browsers.Connect(t, "")
		defer other.Close()
		c.Idle()
		other.Idle()
		c.Say(`42["poison"]`)
		c.Say(`42["after"]`)
		for range 300 {
			other.Say(`42["good"]`)
			time.Sleep(2 * time.Second)
		}
		if n := w.events.Stats().DeadLetters; n != 1 {
			t.Errorf("there are %d dead letters, want one", n)
		}
		if got := told(w.endpoint.came()); !slices.Contains(got, "after []") {
			t.Error("what followed did not come")
		}
	})
}

// An endpoint that is down for 30 s delays its group, and loses, repeats and reorders
// nothing of any connection; another group is not disturbed.
func TestOutage(t *testing.T) {
	for _, how := range []string{refuses, says503} {
		t.Run(how, func(t *testing.T) {
			const browsers, each = 20, 60 // one a second
			inWorld(t, dispatch.Options{}, accept, func(w *world) {
				other, err := w.events.Subscribe(dispatch.SubscriptionOptions{Group: "other", ConsumerID: "c", MaxInFlight: 10})
				if err != nil {
					t.Fatal(err)
				}
				heard := map[string][]string{}
				var slowest time.Duration
				done := make(chan struct{})
				go func() {
					defer close(done)
					for {
						d, err := other.Next(context.Background())
						if err != nil {
							return
						}
						heard[d.ConnectionID] = append(heard[d.ConnectionID], d.Args)
						slowest = max(slowest, time.Since(d.ReceivedAt))
						_ = other.Ack(d.ID())
					}
				}()
				var want []string
				all := make([]*wiretest.WS, browsers)
				for i := range all {
					all[i], _ = w.browsers.Connect(t, "")
					all[i].Idle()
				}
				for i := range each {
					switch i {
					case 15:
						w.endpoint.setDown(how)
					case 45:
						w.endpoint.setDown("")
					}
					for _, c := range all {
						c.Say(fmt.Sprintf(`42["n",%d]`, i))
					}
					want = append(want, fmt.Sprintf("[%d]", i))
					time.Sleep(time.Second)
				}
				time.Sleep(2 * maxPause)
				came := map[string][]string{}
				for _, r := range w.endpoint.came() {
					id := r.event.GetConnectionId()
					if at := came[id]; len(at) > 0 && at[len(at)-1] == r.event.GetArgsJson() {
						continue // the next attempt
					}
					came[id] = append(came[id], r.event.GetArgsJson())
				}
				if len(came) != browsers || len(heard) != browsers {
					t.Errorf("of %d connections the endpoint heard %d, the other group %d", browsers, len(came), len(heard))
				}
				for id, got := range came {
					if !slices.Equal(got, want) {
						t.Errorf("of %s came %q, want %q", id, got, want)
					}
					if !slices.Equal(heard[id], want) {
						t.Errorf("the other group heard %q of %s", heard[id], id)
					}
				}
				if slowest > 0 {
					t.Errorf("the other group waited up to %v", slowest)
				}
				counts := w.server.Stats().Groups["hooks"]
				if counts.Outcomes[handled] != browsers*each || counts.Outcomes[unavailable] == 0 || counts.Outcomes[failed] != 0 {
					t.Errorf("outcomes %v", counts.Outcomes)
				}
				if s := w.events.Stats(); s.DeadLetters+s.Dropped+s.StalledSessions != 0 {
					t.Errorf("counts %+v", s)
				}
				other.Close()
				<-done
				for _, c := range all {
					c.Close()
				}
			})
		})
	}
}

// One request of each connection is under way, and so many of all.
func TestParallel(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(http.ResponseWriter, *fanoutv1.Event) { time.Sleep(time.Second) }, func(w *world) {
		for range 10 {
			c, _ := w.browsers.Connect(t, "")
			defer c.Close()
			for range 5 {
				c.Say(`42["n"]`)
			}
		}
		time.Sleep(time.Minute)
		if n := len(w.endpoint.came()); n != 50 || w.endpoint.most != 4 || w.endpoint.overlap {
			t.Errorf("%d requests came, up to %d at once, two of one connection: %v", n, w.endpoint.most, w.endpoint.overlap)
		}
	}, Endpoint{MaxInFlight: 4})
}

// An endpoint decides who may connect; what is no decision lets nobody in.
func TestAuthorize(t *testing.T) {
	inWorld(t, dispatch.Options{VerdictTimeout: 5 * time.Second}, func(w http.ResponseWriter, e *fanoutv1.Event) {
		if e.GetKind() != fanoutv1.Event_CONNECTING {
			return
		}
		switch auth := e.GetArgsJson(); {
		case strings.Contains(auth, "good"):
			fmt.Fprint(w, `{"allow":{"userId":"42","rooms":["r"]}}`)
		case strings.Contains(auth, "bad"):
			fmt.Fprint(w, `{"refuse":{"message":"no","data":{"why":1}}}`)
		}
	}, func(w *world) {
		join := func(auth string) string {
			c := w.browsers.MustDialWS(t, "EIO=4&transport=websocket")
			defer c.Close()
			c.Next() // open
			c.Say("40" + auth)
			return c.Next()
		}
		if got := join(`{"token":"good"}`); !strings.HasPrefix(got, `40{"sid"`) {
			t.Errorf("good: %s", got)
		}
		if got := join(`{"token":"bad"}`); got != `44{"message":"no","data":{"why":1}}` {
			t.Errorf("bad: %s", got)
		}
		synctest.Wait()
		var user string
		for _, r := range w.endpoint.came() {
			if r.event.GetKind() == fanoutv1.Event_CONNECTED {
				user = r.event.GetUserId()
			}
		}
		if user != "42" {
			t.Errorf("the user of the one that came is %q", user)
		}
		if n := w.server.Stats().Groups["hooks"].Outcomes[failed]; n != 0 {
			t.Errorf("%d failed", n)
		}
		undecided := make(chan string)
		go func() {
			c := w.browsers.MustDialWS(t, "EIO=4&transport=websocket")
			defer c.Close()
			c.Next()
			c.Say("40")
			err := c.Closed()
			undecided <- fmt.Sprint(err)
		}()
		time.Sleep(10 * time.Second)
		if n := w.server.Stats().Groups["hooks"].Outcomes[failed]; n == 0 {
			t.Error("no decision is no failure")
		}
		<-undecided
	}, Endpoint{Authorize: true, Lifecycle: true})
}
