package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// counter handles the events "n" by noting their argument.
func counter(client *Client, o ConsumerOptions, h func(ctx context.Context, e *Event)) *Consumer {
	o.Group = "g"
	c := client.Consumer(o)
	c.On("n", func(ctx context.Context, e *Event) (Reply, error) {
		h(ctx, e)
		return Reply{"done"}, ctx.Err()
	})
	return c
}

// What was handled while the stream broke is not handled again, and its reply
// still arrives; what was not is.
func TestReconnect(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		stop := w.start(counter(client, ConsumerOptions{}, func(_ context.Context, e *Event) {
			time.Sleep(time.Second)
			heard.add(e.Args.JSON())
		}))
		b, _ := w.connect()
		b.Say(`421["n","a"]`)
		b.Say(`422["n","b"]`)
		synctest.Wait()
		w.cut()
		expect(t, "reply", b.Next(), `431["done"]`)
		expect(t, "reply", b.Next(), `432["done"]`)
		expect(t, "handled", heard.take(), `["a"]; ["b"]`)
		expect(t, "in flight", w.dispatcher.Groups()[0].Subscriptions[0].InFlight, 0)
		if w.dispatcher.Stats().Redelivered == 0 {
			t.Error("nothing was delivered again: the stream did not break")
		}
		b.Close()
		stop()
	})
}

// What waits behind busy handlers is as much at work as what these have: the daemon
// does not take it back.
func TestBusyHandlers(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		stop := w.start(counter(client, ConsumerOptions{Concurrency: 1}, func(_ context.Context, e *Event) {
			time.Sleep(50 * time.Second) // longer than ack_wait
			heard.add(fmt.Sprint(e.Args.JSON(), " ", e.Attempt))
		}))
		for _, name := range []string{"a", "b", "c"} {
			b, _ := w.connect()
			defer b.Close()
			b.Idle()
			b.Say(fmt.Sprintf(`42["n",%q]`, name))
			synctest.Wait()
		}
		time.Sleep(3 * time.Minute)
		expect(t, "handled", heard.take(), `["a"] 1; ["b"] 1; ["c"] 1`)
		expect(t, "redelivered", w.dispatcher.Stats().Redelivered, 0)
		stop()
	})
}

// A consumer that is told to stop settles what it has, and leaves the rest to
// others as first attempts.
func TestLeave(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		hear := func(name string) func(context.Context, *Event) {
			return func(_ context.Context, e *Event) {
				time.Sleep(time.Second)
				heard.add(fmt.Sprintf("%s %s %d", name, e.Args.JSON(), e.Attempt))
			}
		}
		stop := w.start(counter(client, ConsumerOptions{MaxInFlight: 2}, hear("first")))
		b, _ := w.connect()
		b.Idle()
		for i := range 4 {
			b.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		synctest.Wait()
		second := w.start(counter(client, ConsumerOptions{}, hear("second")))
		stop()
		expect(t, "before the first has ended", heard.take(), "first [0] 1; first [1] 1")
		time.Sleep(5 * time.Second)
		expect(t, "after", heard.take(), "second [2] 1; second [3] 1")
		expect(t, "redelivered", w.dispatcher.Stats().Redelivered, 0)
		b.Close()
		second()
	})
}

// Handlers that take longer than the grace are told, and what they were at goes
// to another consumer.
func TestGrace(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		stop := w.start(counter(client, ConsumerOptions{Grace: 2 * time.Second}, func(ctx context.Context, e *Event) {
			<-ctx.Done()
			heard.add(context.Cause(ctx).Error())
		}))
		b, _ := w.connect()
		b.Say(`42["n",1]`)
		synctest.Wait()
		began := time.Now()
		stop()
		expect(t, "it took", time.Since(began), 2*time.Second)
		expect(t, "handler", heard.take(), errOver.Error())
		stop = w.start(counter(client, ConsumerOptions{}, func(_ context.Context, e *Event) {
			heard.add(fmt.Sprint(e.Args.JSON(), e.Attempt, e.Sequence))
		}))
		expect(t, "the next", heard.take(), "[1]2 2")
		b.Close()
		stop()
	})
}

// A handler that takes longer than ack_wait keeps its event, and what follows.
func TestSlowHandler(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		stop := w.start(counter(client, ConsumerOptions{}, func(_ context.Context, e *Event) {
			time.Sleep(100 * time.Second)
			heard.add(fmt.Sprint(e.Args.JSON(), e.Attempt))
		}))
		b := w.browsers.MustDialWS(t, "EIO=4&transport=websocket")
		b.Next() // open
		b.Say("40")
		b.Next()
		b.Idle()
		b.Say(`42["n",1]`)
		b.Say(`42["n",2]`)
		time.Sleep(250 * time.Second)
		expect(t, "heard", heard.take(), "[1]1; [2]1")
		b.Close()
		stop()
	})
}

// A handler that decides on a client which waits no longer hears of it.
func TestConnectingIsTakenBack(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		c := client.Consumer(ConsumerOptions{Group: "g"})
		c.OnConnecting(func(ctx context.Context, _ *Event) (Grant, error) {
			<-ctx.Done()
			heard.add(context.Cause(ctx).Error())
			return Grant{}, ctx.Err()
		})
		stop := w.start(c)
		b := w.browsers.MustDialWS(t, "EIO=4&transport=websocket")
		b.Next() // open
		b.Say("40")
		synctest.Wait()
		time.Sleep(10 * time.Second) // more than a verdict may take
		synctest.Wait()
		expect(t, "heard", heard.take(), errCancelled.Error())
		b.Close()
		stop()
	})
}

func TestErrorsThatEndRun(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		stop := w.run(client.Consumer(ConsumerOptions{}))
		if err := stop(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "open.group") {
			t.Errorf("without a group: %v, want INVALID_ARGUMENT for open.group", err)
		}
		first := w.run(client.Consumer(ConsumerOptions{Group: "g", ID: "same"}))
		second := w.start(client.Consumer(ConsumerOptions{Group: "g", ID: "same"}))
		if err := first(); !errors.Is(err, ErrReplaced) {
			t.Errorf("replaced: %v, want ErrReplaced", err)
		}
		second()
		third := w.run(client.Consumer(ConsumerOptions{Group: "h"}))
		synctest.Wait()
		if _, err := w.dispatcher.DeleteGroup("h"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if err := third(); !errors.Is(err, ErrGroupDeleted) {
			t.Errorf("deleted: %v, want ErrGroupDeleted", err)
		}
	})
}

// A consumer that finds no daemon tries again until it is told to stop.
func TestDaemonAway(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		c := counter(client, ConsumerOptions{}, func(_ context.Context, e *Event) { heard.add(e.Args.JSON()) })
		stop := w.start(c)
		w.away.Store(true)
		w.cut()
		time.Sleep(time.Minute)
		w.away.Store(false)
		time.Sleep(2 * longestPause)
		b, _ := w.connect()
		b.Say(`42["n",1]`)
		expect(t, "heard", heard.take(), "[1]")
		if n := strings.Count(w.log.String(), "trying again"); n < 10 || n > 60 {
			t.Errorf("%d tries in a minute", n)
		}
		w.away.Store(true)
		w.cut()
		time.Sleep(10 * time.Second)
		stop()
		b.Close()
	})
}

func TestDial(t *testing.T) {
	inBubbleWithKey(t, "secret", func(w *world) {
		if _, err := Dial(w.t.Context(), "passthrough:///memory", Options{DialOptions: w.options().DialOptions}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("without the key: %v, want UNAUTHENTICATED", err)
		}
		for _, key := range []string{emitKey, chatKey} {
			o := w.options()
			o.Key = key
			c, err := Dial(w.t.Context(), "passthrough:///memory", o)
			if err != nil {
				t.Fatalf("with the key %q: %v", key, err)
			}
			if _, err := c.Emit(w.t.Context(), All().In("/chat"), "e"); err != nil {
				t.Errorf("an emit with the key %q: %v", key, err)
			}
			c.Close()
		}
		w.away.Store(true)
		time.AfterFunc(time.Minute, func() { w.away.Store(false) })
		began := time.Now()
		c := w.dial()
		c.Close()
		if d := time.Since(began); d < time.Minute || d > time.Minute+2*longestPause {
			t.Errorf("dialled after %v, want soon after the daemon came", d)
		}
		w.away.Store(true)
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		defer cancel()
		if _, err := Dial(ctx, "passthrough:///memory", w.options()); status.Code(err) != codes.Unavailable {
			t.Errorf("nobody there: %v, want UNAVAILABLE", err)
		}
	})
}

// Consumers lose their connections and leave all the time while browsers send
// numbered events: nothing is lost, nothing overtakes, and what comes twice says
// so.
func TestChurn(t *testing.T) {
	const browsers, events = 10, 60
	inBubble(t, func(w *world) {
		var mu sync.Mutex
		last := map[string]int{} // by connection
		h := func(_ context.Context, e *Event) (Reply, error) {
			var n int
			if err := e.Args.Decode(&n); err != nil {
				return nil, err
			}
			mu.Lock()
			switch {
			case n == last[e.ID]+1:
				last[e.ID] = n
			case n <= last[e.ID] && e.Attempt > 1: // again
			default:
				t.Errorf("%s: %d (attempt %d) after %d", e.ID, n, e.Attempt, last[e.ID])
			}
			mu.Unlock()
			time.Sleep(rand.N(20 * time.Millisecond))
			if rand.IntN(30) == 0 {
				return nil, errors.New("by chance")
			}
			return nil, nil
		}
		done := make(chan struct{})
		var consumers sync.WaitGroup
		for range 3 {
			consumers.Go(func() {
				client := w.dial()
				defer client.Close()
				for {
					c := client.Consumer(ConsumerOptions{Group: "g", Concurrency: 4, MaxInFlight: 50})
					c.On("n", h)
					ctx, cancel := context.WithTimeout(w.t.Context(), rand.N(2*time.Second))
					if err := c.Run(ctx); err != nil {
						t.Error(err)
					}
					cancel()
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		synctest.Wait() // the group is there
		var senders sync.WaitGroup
		for range browsers {
			b, _ := w.connect()
			defer b.Close()
			b.Idle()
			senders.Go(func() {
				for n := range events {
					b.Say(fmt.Sprintf(`42["n",%d]`, n+1))
					time.Sleep(rand.N(100 * time.Millisecond))
				}
			})
		}
		for range 10 {
			time.Sleep(300 * time.Millisecond)
			w.cut()
		}
		senders.Wait()
		time.Sleep(time.Minute)
		mu.Lock()
		for id, n := range last {
			expect(t, "events of "+id, n, events)
		}
		expect(t, "browsers heard", len(last), browsers)
		mu.Unlock()
		close(done)
		consumers.Wait()
	})
}
