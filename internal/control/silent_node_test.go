package control

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// inSilence runs f in a cluster whose node n3 does not answer: twice, before the others
// suspect it and when they do.
func inSilence(t *testing.T, o dispatch.Options, before func(*world), f func(w *world, suspected bool)) {
	t.Helper()
	for name, suspected := range map[string]bool{"before it is suspected": false, "when it is suspected": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, o, (*world).startNodes, func(w *world) {
				before(w)
				synctest.Wait()
				bus := w.nodes[2].Bus
				bus.Freeze("n3")
				if suspected {
					time.Sleep(5 * time.Second)
				}
				f(w, suspected)
				bus.Thaw("n3")
				time.Sleep(5 * time.Second)
			})
		})
	}
}

// missesN3 wants an answer to name the silent node, and nothing else.
func missesN3(t *testing.T, what string, unreachable []string, err error) {
	t.Helper()
	if err != nil || !slices.Equal(unreachable, []string{"n3"}) {
		t.Errorf("%s: unreachable %q, %v", what, unreachable, err)
	}
}

// unavailableN3 wants an error that names the silent node.
func unavailableN3(t *testing.T, what string, err error) {
	t.Helper()
	var node string
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetReason() == "NODE_UNREACHABLE" {
			node = info.GetMetadata()["node"]
		}
	}
	if status.Code(err) != codes.Unavailable || node != "n3" {
		t.Errorf("%s: %v of node %q, want UNAVAILABLE of n3", what, err, node)
	}
}

// What operators ask for is answered by the others, with the name of the node that does
// not.
func TestAdministerWithSilentNode(t *testing.T) {
	var k *worker
	inSilence(t, dispatch.Options{MaxAttempts: 1}, func(w *world) {
		k = w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "k"})
		c, _ := w.connect("")
		c.Idle()
		for _, event := range []string{"a", "b", "c"} {
			c.Say(`42["` + event + `"]`)
			k.say(nacking(k.next().GetDeliveryId()))
			k.takenBack(fanoutv1.ConsumeResponse_Cancelled_NACKED, 1)
		}
		k.quiet()
	}, func(w *world, _ bool) {
		admin := fanoutv1.NewAdminServiceClient(w.conn)
		consumers, err := admin.ListConsumers(w.ctx(), nil)
		missesN3(t, "ListConsumers", consumers.GetUnreachable(), err)
		if g := consumers.GetGroups(); len(g) != 1 || len(g[0].GetConsumers()) != 1 || consumers.GetCounts().GetEvents() != 4 {
			t.Errorf("ListConsumers: %v", consumers)
		}
		letters, err := admin.ListDeadLetters(w.ctx(), &fanoutv1.ListDeadLettersRequest{PageSize: 2})
		missesN3(t, "ListDeadLetters", letters.GetUnreachable(), err)
		if len(letters.GetDeadLetters()) != 2 || letters.GetNextPageToken() == "" {
			t.Fatalf("ListDeadLetters: %v", letters)
		}
		// What other nodes alone are asked for has nothing to do with it.
		ids := []string{letters.GetDeadLetters()[0].GetId()}
		replayed, err := admin.ReplayDeadLetters(w.ctx(), &fanoutv1.ReplayDeadLettersRequest{Group: "g", Ids: ids})
		if err != nil || replayed.GetAffected() != 1 || replayed.GetPartial() || len(replayed.GetUnreachable()) != 0 {
			t.Errorf("ReplayDeadLetters of one: %v, %v", replayed, err)
		}
		replayed, err = admin.ReplayDeadLetters(w.ctx(), &fanoutv1.ReplayDeadLettersRequest{Group: "g", All: true})
		missesN3(t, "ReplayDeadLetters", replayed.GetUnreachable(), err)
		deleted, err := admin.DeleteDeadLetters(w.ctx(), &fanoutv1.DeleteDeadLettersRequest{Group: "g", Ids: ids})
		if err != nil || deleted.GetAffected() != 1 || deleted.GetPartial() || len(deleted.GetUnreachable()) != 0 {
			t.Errorf("DeleteDeadLetters of one: %v, %v", deleted, err)
		}
		deleted, err = admin.DeleteDeadLetters(w.ctx(), &fanoutv1.DeleteDeadLettersRequest{Group: "g", All: true})
		missesN3(t, "DeleteDeadLetters", deleted.GetUnreachable(), err)
		if replayed.GetAffected() != 2 || !replayed.GetPartial() || deleted.GetAffected() != 2 || !deleted.GetPartial() {
			t.Errorf("ReplayDeadLetters: %v, DeleteDeadLetters: %v", replayed, deleted)
		}
		disconnected, err := admin.DisconnectConsumer(w.ctx(), &fanoutv1.DisconnectConsumerRequest{Group: "g", ConsumerId: "k"})
		missesN3(t, "DisconnectConsumer", disconnected.GetUnreachable(), err)
		gone, err := admin.DeleteGroup(w.ctx(), &fanoutv1.DeleteGroupRequest{Group: "g"})
		missesN3(t, "DeleteGroup", gone.GetUnreachable(), err)
		if !disconnected.GetPartial() || !gone.GetPartial() {
			t.Errorf("DisconnectConsumer: %v, DeleteGroup: %v", disconnected, gone)
		}
	})
}

// A node that does not answer may know what the others do not.
func TestUnknownWithSilentNode(t *testing.T) {
	inSilence(t, dispatch.Options{}, func(*world) {}, func(w *world, _ bool) {
		admin := fanoutv1.NewAdminServiceClient(w.conn)
		disconnect := func() error {
			_, err := admin.DisconnectConsumer(w.ctx(), &fanoutv1.DisconnectConsumerRequest{Group: "g", ConsumerId: "k"})
			return err
		}
		remove := func() error {
			_, err := admin.DeleteGroup(w.ctx(), &fanoutv1.DeleteGroupRequest{Group: "g"})
			return err
		}
		unavailableN3(t, "DisconnectConsumer", disconnect())
		unavailableN3(t, "DeleteGroup", remove())
		w.nodes[0].Bus.Thaw("n3")
		time.Sleep(5 * time.Second)
		for what, err := range map[string]error{"DisconnectConsumer": disconnect(), "DeleteGroup": remove()} {
			if status.Code(err) != codes.NotFound {
				t.Errorf("%s, when it answers again: %v", what, err)
			}
		}
	})
}

// A consumer whose stream is at the silent node: as long as others know it, it is ended
// there as soon as that node answers again.
func TestDisconnectConsumerOfSilentNode(t *testing.T) {
	var far Subscription
	inSilence(t, dispatch.Options{}, func(w *world) {
		s, err := w.nodes[2].Consumers.Subscribe(dispatch.SubscriptionOptions{Group: "g", ConsumerID: "far"})
		if err != nil {
			t.Fatal(err)
		}
		far = s
		w.t.Cleanup(far.Close)
	}, func(w *world, suspected bool) {
		resp, err := fanoutv1.NewAdminServiceClient(w.conn).DisconnectConsumer(w.ctx(), &fanoutv1.DisconnectConsumerRequest{Group: "g", ConsumerId: "far"})
		if suspected { // then it is no member any more
			unavailableN3(t, "DisconnectConsumer", err)
			return
		}
		missesN3(t, "DisconnectConsumer", resp.GetUnreachable(), err)
		if far.Err() != nil {
			t.Errorf("it ended before: %v", far.Err())
		}
		w.nodes[0].Bus.Thaw("n3")
		time.Sleep(5 * time.Second)
		if !errors.Is(far.Err(), dispatch.ErrDisconnected) {
			t.Errorf("it ended with %v", far.Err())
		}
	})
}

// A caller with little time gets what there is.
func TestAdministerBeforeDeadline(t *testing.T) {
	inSilence(t, dispatch.Options{}, func(*world) {}, func(w *world, _ bool) {
		admin := fanoutv1.NewAdminServiceClient(w.conn)
		ctx, cancel := context.WithTimeout(w.ctx(), time.Second)
		defer cancel()
		consumers, err := admin.ListConsumers(ctx, nil)
		missesN3(t, "ListConsumers", consumers.GetUnreachable(), err)
		ctx, cancel = context.WithTimeout(w.ctx(), time.Second)
		defer cancel()
		letters, err := admin.ListDeadLetters(ctx, nil)
		missesN3(t, "ListDeadLetters", letters.GetUnreachable(), err)
	})
}
