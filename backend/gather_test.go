package backend

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestGather: replies that follow each other are one message, within bounds, and nothing
// changes its place.
func TestGather(t *testing.T) {
	reply := func(text string) *fanoutv1.ConsumeRequest {
		return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Reply{Reply: &fanoutv1.ReplyRequest{ArgsJson: text}}}
	}
	nack := &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Nack_{}}
	small, half, large := reply("[]"), reply(strings.Repeat("x", maxReplyBytes/2)), reply(strings.Repeat("x", 2*maxReplyBytes))
	for _, tt := range []struct {
		name string
		all  []*fanoutv1.ConsumeRequest
		want []int // requests in each message
	}{
		{"one", []*fanoutv1.ConsumeRequest{small}, []int{1}},
		{"several", []*fanoutv1.ConsumeRequest{small, small, small}, []int{3}},
		{"among others", []*fanoutv1.ConsumeRequest{nack, small, small, nack, nack, small}, []int{1, 2, 1, 1, 1}},
		{"of some size", []*fanoutv1.ConsumeRequest{half, half, half, small}, []int{1, 1, 2}},
		{"larger than the bound", []*fanoutv1.ConsumeRequest{small, large, small, small}, []int{1, 1, 2}},
		{"many", slices.Repeat([]*fanoutv1.ConsumeRequest{small}, 1200), []int{992, 208}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []int
			for all := tt.all; len(all) > 0; {
				r, n := gather(all)
				if several := r.GetReplies().GetReplies(); n > 1 && len(several) != n {
					t.Fatalf("%d replies in the message of %d requests", len(several), n)
				}
				if n == 1 && r != all[0] {
					t.Fatal("one request is not itself")
				}
				got, all = append(got, n), all[n:]
			}
			expect(t, "messages", slices.Equal(got, tt.want), true)
		})
	}
}

// TestWorkers: every queue that is ready has a worker, up to the bound, also while handlers
// of others do not return.
func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var busy atomic.Int64
		qs := newQueues(t.Context(), 3, func(_ context.Context, d *delivery) outcome {
			busy.Add(1)
			<-release
			return outcome{id: d.event.deliveryID}
		}, nil)
		s := &stream{news: make(chan struct{}, 1)}
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			qs.add(&delivery{stream: s, event: &Event{Conn: Conn{ID: id}, deliveryID: id}})
		}
		for _, want := range []int64{3, 4, 5} {
			synctest.Wait()
			expect(t, "handled", busy.Load(), want)
			release <- struct{}{}
		}
		close(release)
		synctest.Wait()
		for _, id := range []string{"a", "b"} { // workers that wait are called
			qs.add(&delivery{stream: s, event: &Event{Conn: Conn{ID: id}, deliveryID: id + "2"}})
		}
		qs.wait()
		expect(t, "handled in the end", busy.Load(), int64(7))
	})
}
