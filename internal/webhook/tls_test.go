package webhook

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Certificates are verified, by the authorities that the endpoint names.
func TestCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	known := x509.NewCertPool()
	known.AddCert(server.Certificate())
	for _, tt := range []struct {
		name string
		ca   *x509.CertPool
		want blame
	}{
		{"its authority is known", known, nobody},
		{"only others are", x509.NewCertPool(), endpoint},
		{"the system's", nil, endpoint},
	} {
		s := New(Options{Node: "n"})
		m := newMember(s, Endpoint{URL: server.URL, CA: tt.ca}.withDefaults(), newCounts(), 1)
		_, err := m.ask(t.Context(), &fanoutv1.Event{DeliveryId: "e.1", Kind: fanoutv1.Event_MESSAGE})
		if got := blameFor(err); got != tt.want {
			t.Errorf("%s: got %v", tt.name, err)
		}
		m.client.CloseIdleConnections()
	}
}
