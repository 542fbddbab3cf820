package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

// dialControlTLS connects as somebody who trusts these authorities alone.
func dialControlTLS(t *testing.T, address string, trusts *x509.CertPool) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: trusts})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func serverInfo(t *testing.T, conn *grpc.ClientConn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := fanoutv1.NewAdminServiceClient(conn).GetServerInfo(ctx, &fanoutv1.GetServerInfoRequest{})
	return err
}

// shown returns the name of the certificate that a new connection is shown.
func shown(t *testing.T, address string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// awaitShown waits until new connections are shown this certificate.
func awaitShown(t *testing.T, address, name string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); shown(t, address) != name; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the certificate stays %q, want %q", shown(t, address), name)
		}
	}
}

// Backends connect by TLS. When the certificate is replaced, those that are connected stay.
func TestControlTLS(t *testing.T) {
	before, after := certtest.New(t, "before"), certtest.New(t, "after")
	dir := t.TempDir()
	cert, key := before.Issue(t, "one").Write(t, dir)
	d := start(t, "--control-tls-cert-file="+cert, "--control-tls-key-file="+key)
	old := dialControlTLS(t, d.at["backends"], before.Pool())
	if err := serverInfo(t, old); err != nil {
		t.Fatal(err)
	}
	if err := serverInfo(t, dialControl(t, d.at["backends"])); err == nil {
		t.Error("a call in plain text is answered")
	}

	after.Issue(t, "two").Write(t, dir)
	awaitShown(t, d.at["backends"], "two")
	if err := serverInfo(t, old); err != nil {
		t.Errorf("who was connected: %v", err)
	}
	if err := serverInfo(t, dialControlTLS(t, d.at["backends"], before.Pool())); err == nil {
		t.Error("who trusts the old authority alone connects still")
	}
	if err := serverInfo(t, dialControlTLS(t, d.at["backends"], after.Pool())); err != nil {
		t.Errorf("who trusts the new authority: %v", err)
	}
}

// A backend's certificate has to be of an authority that is trusted now.
func TestControlClientCA(t *testing.T) {
	servers, before, after := certtest.New(t, "servers"), certtest.New(t, "before"), certtest.New(t, "after")
	dir := t.TempDir()
	cert, key := servers.Issue(t, "server").Write(t, dir)
	ca := certtest.Write(t, dir, "ca.pem", before.PEM())
	d := start(t, "--control-tls-cert-file="+cert, "--control-tls-key-file="+key, "--control-client-ca-file="+ca)
	show := func(a *certtest.Authority) error {
		pair := a.Issue(t, "chat").TLS(t)
		conn, err := grpc.NewClient("passthrough:///"+d.at["backends"], grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			RootCAs:              servers.Pool(),
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
		})))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return serverInfo(t, conn)
	}
	if err := show(before); err != nil {
		t.Error(err)
	}
	if err := show(after); err == nil {
		t.Error("a certificate of an authority that is not trusted is taken")
	}
	certtest.Write(t, dir, "ca.pem", after.PEM())
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); show(after) != nil; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the new authority is not trusted")
		}
	}
	if err := show(before); err == nil {
		t.Error("a certificate of the authority before is taken still")
	}
}
