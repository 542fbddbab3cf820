package dispatch

import (
	"slices"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/publish"
)

// TestTopicsOfWhoIsReplaced: a consumer that comes anew under its name gets what is published
// from the moment on at which the one before gets nothing more.
func TestTopicsOfWhoIsReplaced(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		options := SubscriptionOptions{ConsumerID: "a", Topics: []string{"t", "u"}}
		before := w.subscribe(options)
		member := publish.Member{Group: "g", ConsumerID: "a"}
		var told []publish.Reason
		request := publish.Request{Message: publish.Message{Topic: "t"}, Timeout: time.Minute}
		asked, _, stop := w.Topics().Deliver(&request, func(o publish.Outcome) {
			told = append(told, o.Reason)
			again, _, _ := w.Topics().Deliver(&publish.Request{Message: publish.Message{Topic: "u"}}, nil) // as it ends
			if !slices.Equal(again, []publish.Member{member}) {
				t.Errorf("while it is replaced a message is for %v", again)
			}
		})
		defer stop()
		if !slices.Equal(asked, []publish.Member{member}) {
			t.Errorf("asked %v", asked)
		}
		after := w.subscribe(options)
		if !slices.Equal(told, []publish.Reason{publish.Left}) {
			t.Errorf("told %v", told)
		}
		if _, ok := before.Published(); ok {
			t.Error("the one that was replaced has a message")
		}
		if d, ok := after.Published(); !ok || d.Topic != "u" {
			t.Errorf("the new one has %+v, %v", d, ok)
		}
		if d, ok := after.Published(); ok {
			t.Errorf("the new one has %+v too", d)
		}
		after.Close()
		if again, _, _ := w.Topics().Deliver(&request, nil); len(again) > 0 {
			t.Errorf("after the end a message is for %v", again)
		}
	})
}
