package grpcserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// peerHub notes who calls.
type peerHub struct {
	fakeHub
	peer *peer.Peer
}

func (h *peerHub) Namespaces(ctx context.Context, _, _ string, _ int) (sio.NamePage, error) {
	h.peer, _ = peer.FromContext(ctx)
	return sio.NamePage{}, nil
}

// What TLS knows of a caller is in the peer of each call: its certificate if it showed
// one, which is verified then.
func TestTLS(t *testing.T) {
	servers, clients := certtest.New(t, "servers"), certtest.New(t, "clients")
	hub := &peerHub{}
	s := New(control.New(hub, control.Options{Logger: slog.New(slog.DiscardHandler)}), authenticator(t), Options{TLS: &tls.Config{
		NextProtos: []string{"h2"}, Certificates: []tls.Certificate{servers.Issue(t, "server").TLS(t)},
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients.Pool(),
	}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})

	show := func(c certtest.Certificate) credentials.TransportCredentials {
		return credentials.NewTLS(&tls.Config{
			RootCAs: servers.Pool(),
			// Also where the server did not ask for this authority's.
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				pair := c.TLS(t)
				return &pair, nil
			},
		})
	}
	for _, tt := range []struct {
		name string
		as   credentials.TransportCredentials
		code codes.Code
		want string // the common name of the verified certificate; empty: none
	}{
		{"no certificate", credentials.NewTLS(&tls.Config{RootCAs: servers.Pool()}), codes.OK, ""},
		{"a certificate", show(clients.Issue(t, "chat")), codes.OK, "chat"},
		{"another authority's certificate", show(certtest.New(t, "clients").Issue(t, "chat")), codes.Unavailable, ""},
		{"who trusts another authority", credentials.NewTLS(&tls.Config{RootCAs: clients.Pool()}), codes.Unavailable, ""},
		{"plain text", insecure.NewCredentials(), codes.Unavailable, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hub.peer = nil
			conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(tt.as))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = fanoutv1.NewRegistryServiceClient(conn).ListNamespaces(t.Context(), &fanoutv1.ListNamespacesRequest{})
			if status.Code(err) != tt.code {
				t.Fatalf("got %v, want %v", err, tt.code)
			}
			if err != nil {
				return
			}
			shown, _ := hub.peer.AuthInfo.(authInfo)
			info, ok := shown.AuthInfo.(credentials.TLSInfo)
			if !ok {
				t.Fatalf("the call's peer has %T", shown.AuthInfo)
			}
			got := ""
			if chains := info.State.VerifiedChains; len(chains) > 0 {
				got = chains[0][0].Subject.CommonName
			}
			if got != tt.want {
				t.Errorf("the verified certificate is %q, want %q", got, tt.want)
			}
		})
	}
}
