package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestPublish: each member of the group that has a handler for the topic gets a message,
// in order, and its answer goes back.
func TestPublish(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		var stops []func()
		for _, name := range []string{"a", "b", "c"} {
			c := client.Consumer(ConsumerOptions{Group: "g", ID: name})
			if name != "c" {
				c.OnPublished("cache", func(_ context.Context, m *Message) (Reply, error) {
					var key string
					if err := m.Args.Decode(&key); err != nil {
						return nil, err
					}
					heard.add(fmt.Sprint(name, " ", key, " ", m.ReplyExpected))
					if key == "bad" && name == "b" {
						return nil, errors.New("oops")
					}
					return Reply{name, []byte(key)}, nil
				})
			} else {
				c.OnAny(func(context.Context, *Event) (Reply, error) { return nil, nil })
			}
			stops = append(stops, w.start(c))
		}
		for i := range 3 {
			res, err := client.Publish(w.t.Context(), &fanoutv1.PublishRequest{Topic: "cache", Group: "g", Except: &fanoutv1.ConsumerName{Group: "g", ConsumerId: "b"}}, fmt.Sprint(i))
			if err != nil || res.GetMatched() != 1 {
				t.Errorf("%v, %v", res, err)
			}
		}
		expect(t, "heard", heard.take(), "a 0 false; a 1 false; a 2 false")
		ask := func(key string) (got []string) {
			t.Helper()
			res, err := client.Publish(w.t.Context(), &fanoutv1.PublishRequest{Topic: "cache", All: true, Timeout: durationpb.New(time.Second)}, key)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range res.GetAnswers() {
				var name string
				var data []byte
				if err := AnswerArgs(a).Decode(&name, &data); err != nil {
					t.Error(err)
				}
				got = append(got, fmt.Sprint(a.GetConsumerId(), " says ", name, " ", string(data)))
			}
			for _, m := range res.GetMissing() {
				got = append(got, fmt.Sprint(m.GetConsumerId(), " ", m.GetReason()))
			}
			slices.Sort(got)
			return got
		}
		expect(t, "answers", strings.Join(ask("x"), "; "), "a says a x; b says b x")
		expect(t, "one that fails", strings.Join(ask("bad"), "; "), "a says a bad; b TIMEOUT")
		b, _ := w.connect()
		b.Say(`421["to c, the only one that hears browsers"]`)
		expect(t, "the reply", b.Next(), "431[]")
		b.Close()
		synctest.Wait()
		for _, stop := range stops {
			stop()
		}
	})
}

// TestPublishToTheSlow: what its handler has no room for is dropped, and logged.
func TestPublishToTheSlow(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var handled atomic.Int64
		c := client.Consumer(ConsumerOptions{Group: "g"})
		c.OnPublished("t", func(context.Context, *Message) (Reply, error) {
			time.Sleep(time.Second)
			handled.Add(1)
			return nil, nil
		})
		stop := w.start(c)
		for range maxMessages + 10 {
			if _, err := client.Publish(w.t.Context(), &fanoutv1.PublishRequest{Topic: "t", Group: "g"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		expect(t, "handled", handled.Load(), int64(maxMessages+1)) // one was being handled
		if !strings.Contains(w.log.String(), "a message is dropped") {
			t.Error("nothing is logged")
		}
		stop()
	})
}
