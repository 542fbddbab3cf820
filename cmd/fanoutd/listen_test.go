package main

import (
	"maps"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

// GetServerInfo lists every listener there is, with the ports that were chosen.
func TestListenersAreListed(t *testing.T) {
	cert, key := certtest.New(t, "authority").Issue(t, "server").Write(t, t.TempDir())
	d := start(t, "--cluster-listen=127.0.0.1:0", "--cluster-forward-listen=127.0.0.1:0", "--webtransport-listen=127.0.0.1:0",
		"--webtransport-cert-file="+cert, "--webtransport-key-file="+key)
	info, err := fanoutv1.NewAdminServiceClient(dialControl(t, d.at["backends"])).GetServerInfo(t.Context(), &fanoutv1.GetServerInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range info.GetListeners() {
		got[l.GetName()] = l.GetAddress()
	}
	want := maps.Clone(d.at)
	delete(want, "nodes") // they are no peers of the API: see ListNodes
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
