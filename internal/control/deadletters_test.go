package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// What is given up is listed, page by page, and can be deleted.
func TestDeadLetters(t *testing.T) {
	inWorld(t, dispatch.Options{MaxAttempts: 1}, func(w *world) {
		admin := fanoutv1.NewAdminServiceClient(w.conn)
		k := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "k"})
		c, id := w.connect("")
		c.Idle()
		for i := range 3 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
			k.say(nacking(k.next().GetDeliveryId()))
			k.takenBack(fanoutv1.ConsumeResponse_Cancelled_NACKED, 1)
			k.quiet()
		}
		list := func(req *fanoutv1.ListDeadLettersRequest) *fanoutv1.ListDeadLettersResponse {
			t.Helper()
			resp, err := admin.ListDeadLetters(w.ctx(), req)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		var got, ids []string
		req := &fanoutv1.ListDeadLettersRequest{Group: "g", Namespace: "/", ConnectionId: id, PageSize: 2}
		for pages := 0; pages == 0 || req.PageToken != ""; pages++ {
			resp := list(req)
			for _, l := range resp.GetDeadLetters() {
				got = append(got, l.GetEvent().GetArgsJson())
				ids = append(ids, l.GetId())
				if l.GetReason() != fanoutv1.DeadLetter_NACKED || l.GetConsumerId() != "k" || l.GetNode() != "n1" /* with the browsers */ || l.GetGroup() != "g" ||
					l.GetEvent().GetConnectionId() != id || l.GetEvent().GetAttempt() != 1 || l.GetDeadAt() == nil {
					t.Errorf("got %v", l)
				}
			}
			req.PageToken = resp.GetNextPageToken()
		}
		if want := []string{"[0]", "[1]", "[2]"}; !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
		for _, none := range []*fanoutv1.ListDeadLettersRequest{{Group: "h"}, {Namespace: "chat"}, {ConnectionId: "x"}} {
			if resp := list(none); len(resp.GetDeadLetters()) != 0 {
				t.Errorf("%v: got %v", none, resp)
			}
		}
		replay := func(req *fanoutv1.ReplayDeadLettersRequest, want uint32) {
			t.Helper()
			resp, err := admin.ReplayDeadLetters(w.ctx(), req)
			if err != nil || resp.GetAffected() != want {
				t.Errorf("got %v, %v, want %d", resp, err, want)
			}
		}
		replay(&fanoutv1.ReplayDeadLettersRequest{Group: "g", Ids: []string{ids[1], "gone"}}, 1)
		replay(&fanoutv1.ReplayDeadLettersRequest{Group: "h", All: true}, 0)
		if e := k.next(); !e.GetReplayed() || e.GetAttempt() != 1 || e.GetArgsJson() != "[1]" {
			t.Errorf("replayed %v", e)
		} else {
			if l := list(&fanoutv1.ListDeadLettersRequest{}).GetDeadLetters(); len(l) != 3 || !l[1].GetReplaying() {
				t.Errorf("listed %v", l)
			}
			k.say(nacking(e.GetDeliveryId()))
			k.takenBack(fanoutv1.ConsumeResponse_Cancelled_NACKED, 1)
			k.quiet()
		}
		for _, bad := range []*fanoutv1.ReplayDeadLettersRequest{{Group: "g"}, {All: true}, {Group: "g", All: true, Ids: ids}} {
			if _, err := admin.ReplayDeadLetters(w.ctx(), bad); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%v: %v", bad, err)
			}
		}
		remove := func(req *fanoutv1.DeleteDeadLettersRequest, want uint32) {
			t.Helper()
			resp, err := admin.DeleteDeadLetters(w.ctx(), req)
			if err != nil || resp.GetAffected() != want {
				t.Errorf("got %v, %v, want %d", resp, err, want)
			}
		}
		remove(&fanoutv1.DeleteDeadLettersRequest{Group: "h", All: true}, 0)
		remove(&fanoutv1.DeleteDeadLettersRequest{Group: "g", Ids: []string{ids[1], "gone"}}, 1)
		remove(&fanoutv1.DeleteDeadLettersRequest{Group: "g", All: true}, 2)
		for _, bad := range []*fanoutv1.DeleteDeadLettersRequest{{Group: "g"}, {All: true}, {Group: "g", All: true, Ids: ids}} {
			if _, err := admin.DeleteDeadLetters(w.ctx(), bad); status.Code(err) != codes.InvalidArgument {
				t.Errorf("%v: %v", bad, err)
			}
		}
		c.Close()
	})
}

// An event that the worker's library would not take becomes a dead letter; the
// stream goes on, with what followed.
func TestTooLargeForTheWorker(t *testing.T) {
	inWorld(t, dispatch.Options{QueueBytes: 1 << 20}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxMessageBytes: 64 << 10})
		c, _ := w.connect("")
		c.Idle()
		c.Say(`42["before"]`)
		c.Say(`42["large","` + strings.Repeat("x", 64<<10) + `"]`)
		c.Say(`42["after"]`)
		k.event("MESSAGE / before[]")
		// From another node it may have been on its way, and was given back.
		if got := show(k.next()); got != "MESSAGE / after[]" && (!w.apart || got != "MESSAGE / after[] attempt 2") {
			t.Errorf("got %q", got)
		}
		synctest.Wait()
		resp, err := fanoutv1.NewAdminServiceClient(w.conn).ListDeadLetters(w.ctx(), nil)
		if err != nil || len(resp.GetDeadLetters()) != 1 || resp.GetDeadLetters()[0].GetReason() != fanoutv1.DeadLetter_TOO_LARGE {
			t.Errorf("got %v, %v", resp, err)
		}
		st := w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: "g", MaxMessageBytes: 64<<10 - 1})).ends(codes.InvalidArgument)
		if got := fields(t, st.Err()); !slices.Equal(got, []string{"open.max_message_bytes"}) {
			t.Errorf("got %q", got)
		}
		c.Close()
	})
}

// Dead letters that are larger than what gRPC clients take can be listed, and listed past.
func TestLargeDeadLetters(t *testing.T) {
	for name, start := range map[string]func(*world, sio.Options, dispatch.Options){
		"one node": (*world).startNode, "from another node": (*world).startNodes,
	} {
		start := func(w *world, so sio.Options, o dispatch.Options) {
			so.Engine.MaxPayload = 8 << 20
			start(w, so, o)
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, dispatch.Options{QueueBytes: 64 << 20}, start, func(w *world) { w.listLargeDeadLetters() })
		})
	}
}

func (w *world) listLargeDeadLetters() {
	k := w.consume(&fanoutv1.ConsumeRequest_Open{MaxMessageBytes: 64 << 10})
	c, _ := w.connect("")
	c.Idle()
	for _, e := range []struct {
		name string
		size int // of its argument, in bytes, and of its attachment
	}{{"a", 1_000_000}, {strings.Repeat("b", 2000), 3_000_000}, {"c", 500_000}, {"d", 1_200_000}, {"e", 100_000}} {
		c.Say(fmt.Sprintf(`451-["%s","%s",{"_placeholder":true,"num":0}]`, e.name, strings.Repeat("x", e.size)))
		c.SayBinary(strings.Repeat("y", e.size))
	}
	c.Say(`42["after"]`)
	for got := ""; got != "after"; got = k.next().GetEvent() {
	}
	// From another node it may have been on its way before what stands before it was buried:
	// then all of that comes once more, some of it with a repeat of the link.
	time.Sleep(5 * time.Second)
	admin := fanoutv1.NewAdminServiceClient(w.conn)
	list := func() (got []string) {
		req := &fanoutv1.ListDeadLettersRequest{}
		for pages := 0; pages == 0 || req.PageToken != ""; pages++ {
			resp, err := admin.ListDeadLetters(w.ctx(), req)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, l := range resp.GetDeadLetters() {
				e, omitted := l.GetEvent(), ""
				if l.GetOmittedBytes() > 0 {
					omitted = fmt.Sprint(" omitted ", l.GetOmittedBytes())
				}
				got = append(got, fmt.Sprintf("%d: %d %d %d%s", pages, len(e.GetEvent()), len(e.GetArgsJson()), len(e.GetAttachments()), omitted))
			}
			req.PageToken = resp.GetNextPageToken()
		}
		return got
	}
	around := len(`["",{"_placeholder":true,"num":0}]`)
	want := []string{
		fmt.Sprintf("0: 1 %d 1", 1_000_000+around),
		fmt.Sprintf("1: 1024 0 0 omitted %d", 2*3_000_000+around+2000-1024),
		fmt.Sprintf("2: 1 %d 1", 500_000+around),
		fmt.Sprintf("3: 1 %d 1", 1_200_000+around),
		fmt.Sprintf("4: 1 %d 1", 100_000+around),
	}
	if got := list(); !slices.Equal(got, want) {
		w.t.Errorf("listed %q, want %q", got, want)
	}
	c.Close()
}
