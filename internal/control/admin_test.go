package control

import (
	"slices"
	"strings"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/idempotency"
)

func TestGetServerInfo(t *testing.T) {
	hub := newMemHub("/chat")
	hub.connect("/", "a", "", "r")
	hub.connect("/chat", "b", "")
	started := time.Unix(1700000000, 0)
	_, conn := dial(t, hub, Options{Info: Info{
		Commit: "abc", Node: "n1", StartedAt: started, MaxPayload: 1e6, PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second,
		Listeners: []Listener{{"browsers", "127.0.0.1:1"}, {"backends", "unix:/run/x"}},
	}})
	got, err := fanoutv1.NewAdminServiceClient(conn).GetServerInfo(t.Context(), &fanoutv1.GetServerInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetVersion() != "dev" || got.GetCommit() != "abc" || !strings.HasPrefix(got.GetGoVersion(), "go") || got.GetNode() != "n1" {
		t.Errorf("build: %v", got)
	}
	if !got.GetStartedAt().AsTime().Equal(started) || got.GetPingInterval().AsDuration() != 25*time.Second ||
		got.GetPingTimeout().AsDuration() != 20*time.Second || got.GetMaxPayloadBytes() != 1e6 {
		t.Errorf("settings: %v", got)
	}
	if l := got.GetListeners(); len(l) != 2 || l[1].GetName() != "backends" || l[1].GetAddress() != "unix:/run/x" {
		t.Errorf("listeners: %v", l)
	}
	if got.GetConnections() != 2 || got.GetRooms() != 3 || !slices.Equal(got.GetNamespaces(), []string{"/", "/chat"}) {
		t.Errorf("counts: %v", got)
	}
	l := got.GetLimits()
	if l.GetMaxRequestBytes() != 16<<20 || l.GetMaxAttachments() != 10 || l.GetMaxBatch() != 1000 || l.GetMaxPageSize() != 1000 || l.GetIdempotencyTtl().AsDuration() != idempotency.TTL ||
		l.GetMaxEventBytes() >= 4<<20 || l.GetMaxInFlight() != 10_000 {
		t.Errorf("limits: %v", l)
	}
}
