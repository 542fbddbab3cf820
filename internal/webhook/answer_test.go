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

	"google.golang.org/grpc/codes"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// An answer replies and has operations done first, in order.
func TestAnswer(t *testing.T) {
	tests := []struct {
		name, answer string
		want         []string // that the browser hears, who waits for a reply
	}{
		{"no words", ``, []string{`43/chat,7[]`}},
		{"nothing", `{}`, nil},
		{"a reply", `{"reply":{"args":["yes",{"n":1}]}}`, []string{`43/chat,7["yes",{"n":1}]`}},
		{"operations", `{"operations":[{"join":{"to":{"ids":["ID"],"namespace":"/chat"},"rooms":["r"]}},
			{"emit":{"to":{"rooms":["r"],"namespace":"/chat"},"event":"first"}},
			{"emit":{"to":{"rooms":["r"],"namespace":"/chat"},"event":"second","argsJson":"[2]"}}],"reply":{"argsJson":"[3]"}}`,
			[]string{`42/chat,["first"]`, `42/chat,["second",2]`, `43/chat,7[3]`}},
		{"operations of which some fail", `{"operations":[{"emit":{"to":{},"event":"x"}},{"emit":{"to":{"all":true,"namespace":"/chat"},"event":"y"}}],"reply":{}}`,
			[]string{`42/chat,["y"]`, `43/chat,7[]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, dispatch.Options{}, func(w http.ResponseWriter, e *fanoutv1.Event) {
				fmt.Fprint(w, strings.ReplaceAll(tt.answer, "ID", e.GetConnectionId()))
			}, func(w *world) {
				c, _ := w.browsers.Connect(t, "/chat")
				defer c.Close()
				c.Say(`42/chat,7["ask"]`)
				if tt.want != nil && tt.answer != "" {
					for _, want := range tt.want {
						if got := c.Next(); got != want {
							t.Errorf("the browser heard %s, want %s", got, want)
						}
					}
				}
				synctest.Wait()
				counts := w.server.Stats().Groups["hooks"]
				if counts.Outcomes[handled] != 1 || len(w.endpoint.came()) != 1 {
					t.Errorf("outcomes %v, want one that was handled", counts.Outcomes)
				}
				if failing := strings.Contains(tt.name, "fail"); (counts.OperationsFailed == 1) != failing || w.logged.has("an operation of a webhook's answer failed") != failing {
					t.Errorf("%d operations failed", counts.OperationsFailed)
				}
			})
		})
	}
}

// An answer that cannot be understood has settled nothing; operations that are repeated
// with the event are done once.
func TestBadAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"text": `ok`, "a list": `[]`, "more": `{} {}`, "an unknown field": `{"replies":{}}`, "an unknown field within": `{"reply":{"arg":[]}}`,
		"a verdict that nobody asked for": `{"allow":{}}`, "a reply that is no list": `{"operations":[{"emit":{"to":{"all":true},"event":"once"}}],"reply":{"argsJson":"{}"}}`,
		"an unknown operation": `{"operations":[{"shout":{}}]}`, "too many operations": `{"operations":[` + strings.Repeat(`{"emit":{"to":{"all":true},"event":"many"}},`, maxOperations) + `{"emit":{"to":{"all":true},"event":"many"}}]}`,
		"too much": `{"reply":{"argsJson":"[\"` + strings.Repeat("x", maxAnswer) + `\"]"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			attempt := 0
			inWorld(t, dispatch.Options{}, func(w http.ResponseWriter, _ *fanoutv1.Event) {
				if attempt++; attempt == 1 {
					fmt.Fprint(w, answer)
				} else {
					fmt.Fprint(w, `{"operations":[{"emit":{"to":{"all":true},"event":"once"}}],"reply":{"args":[1]}}`)
				}
			}, func(w *world) {
				c, _ := w.browsers.Connect(t, "")
				defer c.Close()
				c.Say(`427["ask"]`)
				for _, want := range []string{`42["once"]`, `437[1]`} {
					if got := c.Next(); got != want {
						t.Errorf("the browser heard %s, want %s", got, want)
					}
				}
				time.Sleep(time.Hour)
				if got := told(w.endpoint.came()); len(got) != 2 || got[1] != "ask [] attempt 2" {
					t.Errorf("%q came, want it twice", got)
				}
				if n := w.events.Stats().DeadLetters; n != 0 {
					t.Errorf("there are %d dead letters", n)
				}
			})
		})
	}
}

// What the endpoint says, or that it says nothing, decides what becomes of the event.
func TestStatuses(t *testing.T) {
	says := func(code int) answering {
		return func(w http.ResponseWriter, _ *fanoutv1.Event) { w.WriteHeader(code) }
	}
	for _, tt := range []struct {
		name    string
		answer  answering
		letters uint64
		outcome string
		least   int // requests
	}{
		{"gone", says(http.StatusGone), 1, rejected, 1},
		{"not found", says(http.StatusNotFound), 1, failed, 10},
		{"a redirect", func(w http.ResponseWriter, _ *fanoutv1.Event) {
			w.Header().Set("Location", "http://elsewhere/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, 1, failed, 10},
		{"unavailable", says(http.StatusServiceUnavailable), 0, unavailable, 60},
		{"too many", says(http.StatusTooManyRequests), 0, unavailable, 60},
		{"an error at all", says(http.StatusInternalServerError), 0, unavailable, 60},
		{"cut off", func(w http.ResponseWriter, _ *fanoutv1.Event) { panic(http.ErrAbortHandler) }, 0, unavailable, 60},
		{"silence", func(w http.ResponseWriter, _ *fanoutv1.Event) { time.Sleep(time.Minute) }, 0, unavailable, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, dispatch.Options{}, func(w http.ResponseWriter, e *fanoutv1.Event) {
				if e.GetEvent() == "good" {
					return
				}
				tt.answer(w, e)
			}, func(w *world) {
				c, _ := w.browsers.Connect(t, "")
				defer c.Close()
				c.Idle()
				c.Say(`42["bad"]`)
				time.Sleep(time.Hour)
				counts := w.server.Stats().Groups["hooks"]
				if n := w.events.Stats().DeadLetters; n != tt.letters {
					t.Errorf("there are %d dead letters, want %d", n, tt.letters)
				}
				got := counts.Outcomes[tt.outcome]
				if got < uint64(tt.least) || tt.letters > 0 && got != uint64(tt.least) {
					t.Errorf("outcomes %v, want %d %s", counts.Outcomes, tt.least, tt.outcome)
				}
				if !w.logged.has("a webhook did not handle an event") || w.logged.has("key=secret") {
					t.Error("it was not logged, or with the secret of its URL")
				}
			}, Endpoint{Timeout: 10 * time.Second})
		})
	}
}

// panicking are operations that panic.
type panicking struct{}

// Batch panics.
func (panicking) Batch(context.Context, *fanoutv1.BatchRequest) (*fanoutv1.BatchResponse, error) {
	panic("operations")
}

// A panic is that of one event, and logged.
func TestPanic(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w http.ResponseWriter, _ *fanoutv1.Event) {
		fmt.Fprint(w, `{"operations":[{"emit":{"to":{"all":true},"event":"x"}}],"reply":{"args":[1]}}`)
	}, func(w *world) {
		w.server.options.Operations = panicking{} // nobody has asked yet
		c, _ := w.browsers.Connect(t, "")
		defer c.Close()
		c.Say(`427["ask"]`)
		if got := c.Next(); got != `437[1]` {
			t.Errorf("the browser heard %s", got)
		}
		synctest.Wait()
		if counts := w.server.Stats().Groups["hooks"]; counts.OperationsFailed != 1 || !w.logged.has("panic=operations stack=") {
			t.Errorf("%d operations failed", counts.OperationsFailed)
		}
	})
}

// failing are operations that fail in this way, as often as this, and are noted.
type failing struct {
	code  codes.Code
	times int
	keys  []string // of the emits that came
}

// Batch notes the keys of emits, and answers each operation in the same way.
func (f *failing) Batch(_ context.Context, r *fanoutv1.BatchRequest) (*fanoutv1.BatchResponse, error) {
	code := codes.OK
	if f.times--; f.times >= 0 {
		code = f.code
	}
	var results []*fanoutv1.OperationResult
	for _, op := range r.GetOperations() {
		f.keys = append(f.keys, op.GetEmit().GetIdempotencyKey())
		results = append(results, &fanoutv1.OperationResult{Status: &fanoutv1.Status{Code: int32(code), Message: "why"}})
	}
	return &fanoutv1.BatchResponse{Results: results}, nil
}

// Where an operation could not be done now, the event comes again after a pause, with the
// same keys, and the reply waits; another failure is told, and settles.
func TestOperationsThatFail(t *testing.T) {
	for _, tt := range []struct {
		code  codes.Code
		again bool
	}{{codes.Unavailable, true}, {codes.DeadlineExceeded, true}, {codes.NotFound, false}, {codes.InvalidArgument, false}} {
		t.Run(tt.code.String(), func(t *testing.T) {
			inWorld(t, dispatch.Options{MaxAttempts: 2}, func(w http.ResponseWriter, _ *fanoutv1.Event) {
				fmt.Fprint(w, `{"operations":[{"emit":{"to":{"all":true},"event":"x"}}],"reply":{"args":[1]}}`)
			}, func(w *world) {
				f := &failing{code: tt.code, times: 3}
				w.server.options.Operations = f // nobody has asked yet
				c, _ := w.browsers.Connect(t, "")
				defer c.Close()
				c.Say(`427["ask"]`)
				if got := c.Next(); got != `437[1]` {
					t.Errorf("the browser heard %s", got)
				}
				synctest.Wait()
				attempts := 1
				if tt.again {
					attempts = 4
				}
				if came := w.endpoint.came(); len(came) != attempts || len(f.keys) != attempts || f.keys[0] != came[0].event.GetDeliveryId()+"/0" {
					t.Errorf("%q came, and emits with the keys %q, want it %d times", told(came), f.keys, attempts)
				}
				if keys := slices.Compact(f.keys); len(keys) != 1 {
					t.Errorf("the keys are %q", keys)
				}
				counts := w.server.Stats().Groups["hooks"]
				if counts.Outcomes[handled] != 1 || counts.Outcomes[unavailable] != uint64(attempts-1) || counts.OperationsFailed != uint64(min(attempts, 3)) {
					t.Errorf("outcomes %v, %d operations failed", counts.Outcomes, counts.OperationsFailed)
				}
			})
		})
	}
}
