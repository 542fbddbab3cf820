package main

import (
	"slices"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestOwner: the daemon knows whose connections are whose, and tells the owner of one what
// somebody else changes.
func TestOwner(t *testing.T) {
	d := start(t)
	k := d.consume(t, &fanoutv1.ConsumeRequest_Open{Group: "g", ConsumerId: "k", Assignments: true})
	connect(t, d.at["browsers"])
	receive := func() *fanoutv1.ConsumeResponse {
		t.Helper()
		m, err := k.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := receive()
	if len(m.GetAssigned().GetConnections()) != 1 {
		t.Fatalf("got %v, want one connection assigned", m)
	}
	registry := fanoutv1.NewRegistryServiceClient(dialControl(t, d.at["backends"]))
	for _, tt := range []struct {
		consumer string
		want     uint32
	}{{"other", 0}, {"k", 1}} {
		to := &fanoutv1.Target{All: true, Owner: &fanoutv1.Target_Owner{Group: "g", ConsumerId: tt.consumer}}
		resp, err := registry.Join(t.Context(), &fanoutv1.JoinRequest{To: to, Rooms: []string{"r"}})
		if err != nil || resp.GetAffected() != tt.want {
			t.Errorf("Join of what %s owns: %v, %v, want %d", tt.consumer, resp, err, tt.want)
		}
	}
	m = receive()
	if c := m.GetChanged().GetConnections(); len(c) != 1 || !slices.Contains(c[0].GetRooms(), "r") {
		t.Errorf("got %v, want the change", m)
	}
}
