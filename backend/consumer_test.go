package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestLifeOfAConnection(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		c := client.Consumer(ConsumerOptions{Group: "g", IncludeConnection: true})
		var heard notes
		c.OnConnecting(func(_ context.Context, e *Event) (Grant, error) {
			var auth struct{ Token string }
			if err := e.Args.Decode(&auth); err != nil {
				return Grant{}, err
			}
			heard.add("connecting " + auth.Token)
			return Grant{UserID: "ada", Rooms: []string{"r"}, Data: map[string]any{"age": 36, "tags": []string{"x"}}}, nil
		})
		c.OnConnect(func(ctx context.Context, e *Event) error {
			heard.add(fmt.Sprintf("connect %s %v", e.UserID, e.Connection.GetDataJson()))
			return e.Emit(ctx, "welcome", "you")
		})
		c.On("add", func(_ context.Context, e *Event) (Reply, error) {
			var a, b int
			if err := e.Args.Decode(&a, &b); err != nil {
				return nil, err
			}
			heard.add(fmt.Sprintf("add %d %d, attempt %d, by %s", a, b, e.Attempt, e.Connection.GetUserId()))
			return Reply{a + b, []byte("bytes")}, nil
		})
		c.OnAny(func(_ context.Context, e *Event) (Reply, error) {
			heard.add("any " + e.Name + e.Args.JSON())
			return nil, nil
		})
		c.OnDisconnect(func(_ context.Context, e *Event) error {
			heard.add(fmt.Sprint("disconnect ", e.Reason, " ", e.Cause, " of ", e.Connection.GetUserId()))
			return nil
		})
		stop := w.start(c)

		b := w.browsers.MustDialWS(w.t, "EIO=4&transport=websocket")
		b.Next() // open
		b.Say(`40{"token":"t"}`)
		expect(t, "connected", strings.HasPrefix(b.Next(), `40{"sid":`), true)
		expect(t, "of OnConnect", b.Next(), `42["welcome","you"]`)
		b.Say(`427["add",1,2]`)
		expect(t, "reply", b.Next(), `461-7[3,{"_placeholder":true,"num":0}]`)
		expect(t, "its attachment", b.Next(), "binary:bytes")
		b.Say(`428["other",{"x":1}]`)
		expect(t, "a reply without arguments", b.Next(), `438[]`)
		reached, err := client.Emit(w.t.Context(), Rooms("r"), "to the room")
		if w.apart { // the browsers' node is not waited for
			expect(t, "matched at this node", reached.Count, 0)
		} else {
			expect(t, "matched", reached.Count, 1)
		}
		expect(t, "error", err, nil)
		expect(t, "to the room", b.Next(), `42["to the room"]`)
		applied, err := NewEmit(Rooms("r"), "applied")
		expect(t, "error", err, nil)
		applied.Wait = fanoutv1.EmitRequest_APPLIED
		reached, err = client.Send(w.t.Context(), applied)
		expect(t, "matched everywhere", reached.Count, 1)
		expect(t, "error", err, nil)
		expect(t, "applied", b.Next(), `42["applied"]`)
		b.Say("41")
		expect(t, "heard", heard.take(), `connecting t; connect ada {"age":36,"tags":["x"]}; add 1 2, attempt 1, by ada; any other[{"x":1}]; disconnect client namespace disconnect CLIENT_LEFT of ada`)
		expect(t, "queues left", w.dispatcher.Groups()[0].Subscriptions[0].Connections, 0)
		b.Close()
		stop()
	})
}

func TestVerdicts(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"refusal":           {&Refusal{Message: "no", Data: map[string]any{"code": 7}}, `44{"message":"no","data":{"code":7}}`},
		"wrapped refusal":   {fmt.Errorf("x: %w", &Refusal{Message: "no"}), `44{"message":"no"}`},
		"refusal unnamed":   {&Refusal{}, `44{"message":"not authorized"}`},
		"not now":           {&Refusal{Message: "no", Retry: true}, ""},
		"bad auth":          {&ArgsError{0, errMissing}, `44{"message":"not authorized"}`},
		"trouble":           {errors.New("a secret"), ""}, // after the daemon's patience: the browser is to come back
		"no UTF-8":          {&Refusal{Message: "no \xff", Data: json.RawMessage("\"\xff\"")}, "44{\"message\":\"no \uFFFD\",\"data\":\"\uFFFD\"}"},
		"too long a reason": {&Refusal{Message: strings.Repeat("x", 2000)}, `44{"message":"not authorized"}`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				client := w.dial()
				defer client.Close()
				c := client.Consumer(ConsumerOptions{Group: "g"})
				c.OnConnecting(func(context.Context, *Event) (Grant, error) { return Grant{}, tt.err })
				stop := w.start(c)
				b := w.browsers.MustDialWS(w.t, "EIO=4&transport=websocket")
				b.Next() // open
				b.Say("40")
				if tt.want == "" {
					b.MustClose(1000, sio.ReasonUnavailable)
				} else {
					expect(t, "answer", b.Next(), tt.want)
				}
				b.Close()
				stop()
			})
		})
	}
}

// A text that is no UTF-8 is the fault of one event, and no end of the stream.
func TestTextsThatAreNoUTF8(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		c := client.Consumer(ConsumerOptions{Group: "g"})
		var heard notes
		c.OnConnecting(func(_ context.Context, e *Event) (Grant, error) {
			if e.Args.JSON() == "[]" {
				return Grant{}, nil
			}
			heard.add("connecting")
			return Grant{UserID: "ada\xff"}, nil
		})
		c.On("raw", func(_ context.Context, e *Event) (Reply, error) {
			heard.add(fmt.Sprint("raw ", e.Attempt))
			return Reply{json.RawMessage("\"\xff\"")}, nil
		})
		stop := w.start(c)
		a, _ := w.connect()
		a.Say(`420["raw"]`)
		expect(t, "reply", a.Next(), "430[\"\uFFFD\"]")
		expect(t, "heard", heard.take(), "raw 1")

		b := w.browsers.MustDialWS(w.t, "EIO=4&transport=websocket")
		b.Next() // open
		b.Say(`40{"token":"t"}`)
		b.MustClose(1000, sio.ReasonUnavailable)
		b.Close()
		heard.take()
		a.Say(`421["raw"]`)
		expect(t, "reply", a.Next(), "431[\"\uFFFD\"]")
		expect(t, "heard", heard.take(), "raw 1")
		a.Close()
		stop()
	})
}

// One connection's events wait for each other; others' do not wait for them.
func TestOrderAndConcurrency(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		c := client.Consumer(ConsumerOptions{Group: "g", Concurrency: 2})
		var heard notes
		var mu sync.Mutex
		running, most := 0, 0
		c.On("n", func(_ context.Context, e *Event) (Reply, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			heard.add(e.Args.JSON())
			mu.Lock()
			running--
			mu.Unlock()
			return nil, nil
		})
		stop := w.start(c)
		a, _ := w.connect()
		b, _ := w.connect()
		d, _ := w.connect()
		a.Say(`42["n","a1"]`)
		a.Say(`42["n","a2"]`)
		synctest.Wait()
		b.Say(`42["n","b1"]`)
		synctest.Wait()
		d.Say(`42["n","d1"]`)
		time.Sleep(time.Second)
		first := heard.take()
		if first != `["a1"]; ["b1"]` && first != `["b1"]; ["a1"]` {
			t.Errorf("after a second: %s", first)
		}
		time.Sleep(2 * time.Second)
		rest := heard.take()
		if rest != `["d1"]; ["a2"]` && rest != `["a2"]; ["d1"]` {
			t.Errorf("after three seconds: %s", rest)
		}
		expect(t, "handlers at once", most, 2)
		expect(t, "in flight", w.dispatcher.Groups()[0].Subscriptions[0].InFlight, 0)
		stop()
		a.Close()
		b.Close()
		d.Close()
	})
}

// What a failed event is followed by waits for its next attempt.
func TestRetry(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		c := client.Consumer(ConsumerOptions{Group: "g"})
		var heard notes
		c.On("n", func(_ context.Context, e *Event) (Reply, error) {
			// What follows a failure may, or may not yet, have been delivered with it.
			switch e.Args.JSON() {
			case "[2]":
				heard.add(fmt.Sprintf("[2]%d", e.Attempt))
				if e.Attempt < 3 {
					return nil, errors.New("not yet")
				}
			case "[4]":
				heard.add(fmt.Sprintf("[4]%d", e.Attempt))
				panic("whatever it is")
			default:
				heard.add(e.Args.JSON())
			}
			return nil, nil
		})
		stop := w.start(c)
		b, _ := w.connect()
		b.Idle()
		for i := range 3 {
			b.Say(fmt.Sprintf(`42["n",%d]`, i+1))
		}
		time.Sleep(time.Second)
		expect(t, "heard", heard.take(), "[1]; [2]1; [2]2; [2]3; [3]")

		// What always fails the daemon makes a dead letter, and it does not hold up what
		// follows, whether that came before it was given up or after.
		b.Say(`42["n",4]`)
		b.Say(`42["n",5]`)
		time.Sleep(2 * time.Minute)
		all := heard.take()
		expect(t, "attempts", strings.Count(all, "[4]"), 10) // the default of max-attempts
		expect(t, "the end", strings.HasSuffix(all, "; [4]10; [5]"), true)
		expect(t, "in flight", w.dispatcher.Groups()[0].Subscriptions[0].InFlight, 0)
		expect(t, "dropped by the daemon", w.dispatcher.Stats().Dropped, 0)
		expect(t, "dead letters", w.dispatcher.Stats().DeadLetters, 1)
		if want := "panic: whatever it is"; !strings.Contains(w.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, w.log.String())
		}
		b.Say(`42["n",6]`)
		time.Sleep(time.Second)
		expect(t, "afterwards", heard.take(), "[6]")
		b.Close()
		stop()
	})
}

// A handler may say when its event is to come again.
func TestRetryError(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		began := time.Now()
		c := client.Consumer(ConsumerOptions{Group: "g"})
		away := errors.New("the database is away")
		c.On("n", func(_ context.Context, e *Event) (Reply, error) {
			heard.add(fmt.Sprintf("%s%d after %v", e.Args.JSON(), e.Attempt, time.Since(began).Truncate(time.Second)))
			switch e.Attempt {
			case 1:
				return nil, fmt.Errorf("storing: %w", &RetryError{After: 20 * time.Second, Err: away})
			case 2:
				return nil, &RetryError{After: 2 * time.Hour, Err: away} // more than there is
			}
			return Reply{"stored"}, nil
		})
		stop := w.start(c)
		b, _ := w.connect()
		b.Idle()
		b.Say(`42["n",1]`)
		synctest.Wait()
		time.Sleep(2 * time.Hour)
		expect(t, "heard", heard.take(), "[1]1 after 0s; [1]2 after 20s; [1]3 after 1h0m20s")
		if !errors.Is(&RetryError{Err: away}, away) {
			t.Error("a RetryError does not unwrap to its cause")
		}
		b.Close()
		stop()
	})
}

// A browser's mistake is settled at the first attempt.
func TestArgsErrorIsNotRetried(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		c := client.Consumer(ConsumerOptions{Group: "g"})
		var heard notes
		c.On("n", func(_ context.Context, e *Event) (Reply, error) {
			var n int
			err := e.Args.Decode(&n)
			heard.add(fmt.Sprint(n, " ", err))
			return nil, err
		})
		stop := w.start(c)
		b, _ := w.connect()
		b.Say(`42["n"]`)
		b.Say(`42["n",3]`)
		time.Sleep(10 * time.Second)
		expect(t, "heard", heard.take(), "0 argument 0: missing; 3 <nil>")
		expect(t, "in flight", w.dispatcher.Groups()[0].Subscriptions[0].InFlight, 0)
		b.Close()
		stop()
	})
}

// A reply that no client would take is not sent, and holds nothing up.
func TestReplyThatCannotBeSent(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		c := client.Consumer(ConsumerOptions{Group: "g"})
		c.On("big", func(context.Context, *Event) (Reply, error) {
			return slices.Repeat(Reply{[]byte("x")}, 11), nil
		})
		c.On("small", func(context.Context, *Event) (Reply, error) { return Reply{"ok"}, nil })
		stop := w.start(c)
		b, _ := w.connect()
		b.Say(`421["big"]`)
		b.Say(`422["small"]`)
		expect(t, "reply", b.Next(), `432["ok"]`)
		synctest.Wait()
		expect(t, "in flight", w.dispatcher.Groups()[0].Subscriptions[0].InFlight, 0)
		if !strings.Contains(w.log.String(), "settling without a reply") {
			t.Errorf("the log does not say so:\n%s", w.log.String())
		}
		b.Close()
		stop()
	})
}
