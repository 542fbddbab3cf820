package main

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

func TestControlKeysFileRefusals(t *testing.T) {
	const secret = "s3cr3t-0123456789abcdef"
	good := writeFile(t, "- {name: shop, key: "+secret+"}\n")
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"no such file", []string{"--control-keys-file=/nonexistent"}, []string{"/nonexistent"}},
		{"an empty name", []string{"--control-keys-file="}, []string{"control-keys-file", "empty"}},
		{"every mistake", []string{"--control-keys-file=" + writeFile(t, "- {name: a, key: short}\n- {name: b, scope: [emit]}\n")},
			[]string{"control-keys-file (flag ", `line 1, entry 1 ("a")`, "fewer than 16", `line 2, entry 2 ("b")`, `unknown field "scope"`}},
		{"a key that control-key has", []string{"--control-keys-file=" + good, "--control-key=" + secret}, []string{`entry 1 ("shop")`, "control-key"}},
		{"a certificate that nobody is asked for", []string{"--control-keys-file=" + writeFile(t, "- {name: a, certificate: b}\n")}, []string{"control-client-ca-file"}},
		{"insecure", []string{"--control-keys-file=" + good, "--insecure-control"}, []string{"insecure-control", "only one"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.args, nil)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("shows the key: %v", err)
			}
		})
	}
	if c, err := load([]string{"--control-keys-file=" + good, "--control-listen=:0", "--control-key=0123456789abcdef"}, nil); err != nil || len(c.listeners.credentials()) != 2 {
		t.Errorf("both kinds of keys: %v", err)
	}
}

// emits emits with this key and returns the code of the answer.
func emits(t *testing.T, conn *grpc.ClientConn, key string) codes.Code {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	_, err := fanoutv1.NewEmitterServiceClient(conn).Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e"})
	return status.Code(err)
}

// Keys are replaced while they are in use: both hold, then the new one alone, and streams
// of the old one end. SIGHUP brings it at once, a key of control-key included.
func TestControlKeysFileRotation(t *testing.T) {
	const plain, plainNext, old, next, reader = "plain-0123456789", "plain-9876543210", "old-0123456789abcdef", "next-0123456789abcdef", "reader-0123456789abcdef"
	dir := t.TempDir()
	keys, config := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "config.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const readerEntry = "- {name: reader, key: " + reader + ", scopes: [read]}\n"
	write(keys, "- {name: shop, key: "+old+", scopes: [emit]}\n"+readerEntry)
	write(config, "control-key: "+plain+"\ncontrol-keys-file: "+keys+"\n")
	p := startProcess(t, "--config="+config)
	conn := dialControl(t, p.at["backends"])
	expect := func(when string, want map[string]codes.Code) {
		t.Helper()
		for key, code := range want {
			if got := emits(t, conn, key); got != code {
				t.Errorf("%s: key %q gets %v, want %v", when, key, got, code)
			}
		}
	}
	expect("at the start", map[string]codes.Code{
		"": codes.Unauthenticated, plain: codes.OK, old: codes.OK, next: codes.Unauthenticated, reader: codes.PermissionDenied,
	})
	stream, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+old))
	if err != nil {
		t.Fatal(err)
	}

	write(keys, "- {name: shop, key: "+old+", scopes: [emit]}\n- {name: shop, key: "+next+", scopes: [emit]}\n"+readerEntry)
	p.hangUp(t, "the control keys have changed", `"keys":4`)
	expect("both", map[string]codes.Code{plain: codes.OK, old: codes.OK, next: codes.OK})

	write(keys, "- {name: shop, key: "+next+", scopes: [emits]}\n")
	p.hangUp(t, "the control keys stay as they are", "unknown scope")
	expect("a mistake", map[string]codes.Code{plain: codes.OK, old: codes.OK, next: codes.OK})

	write(keys, "- {name: shop, key: "+next+", scopes: [emit]}\n"+readerEntry)
	p.hangUp(t, "the control keys have changed", `"keys":3`)
	expect("the new one", map[string]codes.Code{plain: codes.OK, old: codes.Unauthenticated, next: codes.OK})
	if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stream of the old key: %v", err)
	}

	write(config, "control-key: "+plainNext+"\ncontrol-keys-file: "+keys+"\n")
	p.hangUp(t, "the settings have been read again", `"changed":["control-key"]`)
	expect("another control-key", map[string]codes.Code{plain: codes.Unauthenticated, plainNext: codes.OK, next: codes.OK})
	for _, key := range []string{plain, plainNext, old, next, reader} {
		if strings.Contains(p.logs.String(), key) {
			t.Error("the log shows a key")
		}
	}
}

// A certificate is known by a name of its, and a key comes before it.
func TestControlKeysOfCertificates(t *testing.T) {
	const key = "0123456789abcdef"
	servers, clients := certtest.New(t, "servers"), certtest.New(t, "clients")
	dir := t.TempDir()
	cert, certKey := servers.Issue(t, "server").Write(t, dir)
	ca := certtest.Write(t, dir, "ca.pem", clients.PEM())
	d := start(t, "--control-tls-cert-file="+cert, "--control-tls-key-file="+certKey, "--control-client-ca-file="+ca,
		"--control-keys-file="+writeFile(t, "- {name: chat, certificate: \"chat-*\", scopes: [emit]}\n- {name: reader, certificate: reader, scopes: [read]}\n- {name: key, key: "+key+"}\n"))
	as := func(name string) *grpc.ClientConn {
		pair := clients.Issue(t, name).TLS(t)
		conn, err := grpc.NewClient("passthrough:///"+d.at["backends"], grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			RootCAs: servers.Pool(), Certificates: []tls.Certificate{pair},
		})))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	for _, tt := range []struct {
		name string
		conn *grpc.ClientConn
		key  string
		want codes.Code
	}{
		{"a certificate", as("chat-1"), "", codes.OK},
		{"one without the scope", as("reader"), "", codes.PermissionDenied},
		{"an unknown one", as("chat"), "", codes.Unauthenticated},
		{"one with a key", as("reader"), key, codes.OK},
		{"one with a wrong key", as("chat-1"), "wrong", codes.Unauthenticated},
		{"none", dialControlTLS(t, d.at["backends"], servers.Pool()), "", codes.Unauthenticated},
		{"none, but a key", dialControlTLS(t, d.at["backends"], servers.Pool()), key, codes.OK},
	} {
		if got := emits(t, tt.conn, tt.key); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
