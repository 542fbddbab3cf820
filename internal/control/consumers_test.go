package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

func TestListConsumers(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		admin := fanoutv1.NewAdminServiceClient(w.conn)
		list := func(req *fanoutv1.ListConsumersRequest) *fanoutv1.ListConsumersResponse {
			t.Helper()
			resp, err := admin.ListConsumers(w.ctx(), req)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		if resp := list(nil); len(resp.GetGroups()) != 0 || resp.GetCounts() == nil {
			t.Errorf("without consumers: %v", resp)
		}
		a := w.consume(&fanoutv1.ConsumeRequest_Open{
			Group: "chat", ConsumerId: "a", Namespaces: []string{"chat"}, Events: []string{"n", "m"}, Authorize: false, Lifecycle: true, MaxInFlight: 2,
		})
		gone := w.consume(&fanoutv1.ConsumeRequest_Open{Group: "away", Namespaces: []string{"/chat"}, Events: []string{"n", "settled"}})
		before, _ := w.connect("/chat")
		before.Say(`42/chat,["settled"]`)
		gone.say(acking(gone.event("MESSAGE /chat settled[]").GetDeliveryId()))
		gone.quiet()
		gone.close()
		gone.ends(0)
		a.say(acking(a.event("CONNECTED /chat").GetDeliveryId()))
		before.Close()
		a.say(acking(a.event("DISCONNECTED /chat transport close").GetDeliveryId()))
		a.quiet()
		c, _ := w.connect("/chat")
		for i := range 3 {
			c.Say(fmt.Sprintf(`42/chat,["n",%d]`, i))
		}
		a.event("CONNECTED /chat")
		a.event("MESSAGE /chat n[0]")
		synctest.Wait()
		time.Sleep(3 * time.Second)
		resp := list(nil)
		if len(resp.GetGroups()) != 2 || resp.GetNextPageToken() != "" {
			t.Fatalf("got %v", resp)
		}
		away, chat := resp.GetGroups()[0], resp.GetGroups()[1]
		if away.GetName() != "away" || len(away.GetConsumers()) != 0 || away.GetPendingEvents() != 3 || away.GetOrphanedBytes() == 0 {
			t.Errorf("away: %v", away)
		}
		if chat.GetName() != "chat" || len(chat.GetConsumers()) != 1 || chat.GetPendingEvents() != 4 || chat.GetOrphanedBytes() != 0 {
			t.Fatalf("chat: %v", chat)
		}
		if chat.GetPendingBytes() < 4*256 || chat.GetInFlight() != 2 || chat.GetOldestPendingAge().AsDuration() != 3*time.Second ||
			chat.GetDelivered() != 4 || chat.GetRedelivered() != 0 || chat.GetDropped() != 0 || chat.GetDeadLetters() != 0 {
			t.Errorf("the counts of chat: %v", chat)
		}
		m := chat.GetConsumers()[0]
		if m.GetConsumerId() != "a" || m.GetNode() != w.node || !slices.Equal(m.GetNamespaces(), []string{"/chat"}) || !slices.Equal(m.GetEvents(), []string{"n", "m"}) ||
			!m.GetLifecycle() || m.GetAuthorize() || m.GetMaxInFlight() != 2 {
			t.Errorf("what a asked for: %v", m)
		}
		if m.GetInFlight() != 2 || m.GetConnections() != 1 || m.GetQueuedBytes() == 0 || m.GetLeaving() || !m.GetLastActive().AsTime().Equal(time.Now().Add(-3*time.Second)) {
			t.Errorf("how a does: %v", m)
		}
		if n := resp.GetCounts().GetEvents(); n != 7 {
			t.Errorf("%d events were counted", n)
		}
		if resp := list(&fanoutv1.ListConsumersRequest{Group: "chat"}); len(resp.GetGroups()) != 1 || resp.GetGroups()[0].GetName() != "chat" {
			t.Errorf("only chat: %v", resp)
		}
		if resp := list(&fanoutv1.ListConsumersRequest{Group: "no"}); len(resp.GetGroups()) != 0 {
			t.Errorf("only no: %v", resp)
		}
		a.say(leaving)
		a.drains()
		if m := list(&fanoutv1.ListConsumersRequest{Group: "chat"}).GetGroups()[0].GetConsumers()[0]; !m.GetLeaving() {
			t.Errorf("leaving: %v", m)
		}
		c.Close()
	})
}

// crowd is a Dispatcher with groups of these sizes, by name.
type crowd struct {
	*dispatch.Dispatcher
	groups []dispatch.GroupStatus
}

func (c crowd) Groups() []dispatch.GroupStatus { return c.groups }

func TestListConsumersPages(t *testing.T) {
	var groups []dispatch.GroupStatus
	var want []string
	for _, g := range []struct {
		name      string
		consumers int
	}{{"a", 0}, {"b", 3}, {"b c", 1}, {"c", 0}, {"d", 4}} {
		group := dispatch.GroupStatus{Name: g.name}
		for i := range g.consumers {
			// In the order of their arrival, which is none here.
			sub := dispatch.SubscriptionOptions{ConsumerID: fmt.Sprint(g.consumers - i)}
			group.Subscriptions = append(group.Subscriptions, dispatch.SubscriptionStatus{SubscriptionOptions: sub})
			want = append(want, fmt.Sprint(g.name, "/", i+1))
		}
		if g.consumers == 0 {
			want = append(want, g.name+"/")
		}
		groups = append(groups, group)
	}
	read := func(t *testing.T, groups []dispatch.GroupStatus, size int32) (got []string, pages int) {
		t.Helper()
		_, conn := dial(t, newMemHub(), Options{Dispatcher: DispatcherOf(crowd{dispatch.New(dispatch.Options{}), groups})})
		admin := fanoutv1.NewAdminServiceClient(conn)
		req := &fanoutv1.ListConsumersRequest{PageSize: size}
		for {
			resp, err := admin.ListConsumers(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, g := range resp.GetGroups() {
				for _, c := range g.GetConsumers() {
					got = append(got, g.GetName()+"/"+c.GetConsumerId())
				}
				if len(g.GetConsumers()) == 0 {
					got = append(got, g.GetName()+"/")
				}
			}
			if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
				return got, pages
			}
		}
	}
	for size, pages := range map[int32]int{0: 1, 1: 10, 2: 5, 3: 4, 9: 2, 10: 1, 1000: 1} {
		got, n := read(t, groups, size)
		if !slices.Equal(got, want) || n != pages {
			t.Errorf("page size %d: got %q on %d pages, want %q on %d", size, got, n, want, pages)
		}
	}
	t.Run("large", func(t *testing.T) {
		g := dispatch.GroupStatus{Name: "g"}
		for i := range 10 {
			sub := dispatch.SubscriptionOptions{ConsumerID: fmt.Sprint(i), Events: slices.Repeat([]string{strings.Repeat("x", 1000)}, 1000)}
			g.Subscriptions = append(g.Subscriptions, dispatch.SubscriptionStatus{SubscriptionOptions: sub})
		}
		if got, pages := read(t, []dispatch.GroupStatus{g}, 0); len(got) != 10 || pages != 5 {
			t.Errorf("got %d on %d pages, want two of about 1 MiB on each", len(got), pages)
		}
	})
	t.Run("large groups", func(t *testing.T) {
		var groups []dispatch.GroupStatus
		for i := range 10 {
			groups = append(groups, dispatch.GroupStatus{Name: fmt.Sprint(i), Authorized: slices.Repeat([]string{strings.Repeat("x", 1000)}, 1000)})
		}
		if got, pages := read(t, groups, 0); len(got) != 10 || pages != 5 {
			t.Errorf("got %d on %d pages, want two of about 1 MiB on each", len(got), pages)
		}
	})
	t.Run("refused", func(t *testing.T) {
		_, conn := dial(t, newMemHub(), Options{Dispatcher: DispatcherOf(crowd{dispatch.New(dispatch.Options{}), groups})})
		admin := fanoutv1.NewAdminServiceClient(conn)
		resp, err := admin.ListConsumers(t.Context(), &fanoutv1.ListConsumersRequest{PageSize: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, err = admin.ListConsumers(t.Context(), &fanoutv1.ListConsumersRequest{Group: "b", PageSize: 1001, PageToken: resp.GetNextPageToken()})
		if got := fields(t, err); !slices.Equal(got, []string{"page_size", "page_token"}) {
			t.Errorf("got %q", got)
		}
	})
}

// A daemon that hears no browsers has nothing to list.
func TestListConsumersWithoutEvents(t *testing.T) {
	_, conn := dial(t, newMemHub(), Options{})
	resp, err := fanoutv1.NewAdminServiceClient(conn).ListConsumers(context.Background(), nil)
	if err != nil || len(resp.GetGroups()) != 0 {
		t.Errorf("got %v, %v", resp, err)
	}
}
