package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/cluster/nats"
)

func TestClusterSettings(t *testing.T) {
	secret := writeFile(t, "0123456789abcdef\n")
	cert, key, _ := certificateFiles(t)
	args := []string{
		"--node-name=a.example", "--cluster-name=chat", "--cluster-listen=:6222", "--cluster-advertise=10.0.0.1",
		"--cluster-peers=b:6222,dns:nodes.example:6222", "--cluster-secret-file=" + secret,
		"--cluster-tls-cert-file=" + cert, "--cluster-tls-key-file=" + key, "--cluster-tls-ca-file=" + cert,
	}
	c, err := load(args, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := clusterConfig{
		node: "a.example", name: "chat", advertise: "10.0.0.1",
		peers:      []nats.Peer{{Name: "b", Port: 6222}, {Name: "nodes.example", Port: 6222, DNS: true}},
		secretFile: secret, secret: []byte("0123456789abcdef"),
		tls: nats.TLSFiles{Cert: cert, Key: key, CA: cert},
	}
	want.listen = c.cluster.listen
	if c.cluster.listen.Name != ":6222" || !reflect.DeepEqual(c.cluster, want) {
		t.Errorf("got %+v, want %+v", c.cluster, want)
	}
}

func TestNodeNameIsTheHosts(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(nil, nil)
	if err != nil || c.cluster.node != host || c.cluster.on() {
		t.Errorf("node %q, cluster %v, %v", c.cluster.node, c.cluster.on(), err)
	}
}

// TestClusterExposure: a port that others can reach wants a secret and certificates.
func TestClusterExposure(t *testing.T) {
	secret := "--cluster-secret-file=" + writeFile(t, "0123456789abcdef")
	cert, key, _ := certificateFiles(t)
	tls := []string{"--cluster-tls-cert-file=" + cert, "--cluster-tls-key-file=" + key, "--cluster-tls-ca-file=" + cert}
	both := append([]string{secret}, tls...)
	tests := []struct {
		name, listen string
		args         []string
		refused      bool
		warned       bool
	}{
		{"loopback", "127.0.0.1:0", nil, false, false},
		{"localhost", "localhost:0", nil, false, false},
		{"open", ":0", nil, true, false},
		{"open to a network", "10.0.0.1:6222", nil, true, false},
		{"secret alone", ":0", []string{secret}, true, false},
		{"TLS alone", ":0", tls, true, false},
		{"secret and TLS", ":0", both, false, false},
		{"meant", ":0", []string{"--insecure-cluster"}, false, true},
		{"meant, with a secret", ":0", []string{"--insecure-cluster", secret}, false, true},
		{"meant, on loopback", "127.0.0.1:0", []string{"--insecure-cluster"}, false, false},
		{"not meant", ":0", []string{"--insecure-cluster=false"}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(append(tt.args, "--cluster-listen", tt.listen), nil)
			if (err != nil) != tt.refused {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), "--insecure-cluster") || !strings.Contains(err.Error(), "cluster-listen (flag") {
					t.Errorf("does not say what to do: %v", err)
				}
				return
			}
			var log bytes.Buffer
			c.warn(slog.New(slog.NewTextHandler(&log, nil)))
			if got := strings.Contains(log.String(), "insecure-cluster"); got != tt.warned {
				t.Errorf("warned: %v\n%s", got, &log)
			}
		})
	}
}

func TestClusterRefusals(t *testing.T) {
	secret := "--cluster-secret-file=" + writeFile(t, "0123456789abcdef")
	cert, key, _ := certificateFiles(t)
	tls := []string{"--cluster-tls-cert-file=" + cert, "--cluster-tls-key-file=" + key, "--cluster-tls-ca-file=" + cert}
	embedded, external := "--cluster-listen=127.0.0.1:0", "--cluster-nats=nats://127.0.0.1:4222"
	tests := []struct {
		name string
		args []string
		want []string // all in the error
	}{
		{"both buses", []string{embedded, external}, []string{"cluster-nats (flag", "only one can be meant"}},
		{"bad node name", []string{"--node-name=a b"}, []string{"node-name", `"a b"`, "letters"}},
		{"bad cluster name", []string{embedded, "--cluster-name=a.b"}, []string{"cluster-name", "dot"}},
		{"no cluster name", []string{embedded, "--cluster-name="}, []string{"cluster-name", "empty"}},
		{"bad address", []string{"--cluster-listen=here"}, []string{"cluster-listen", "HOST:PORT"}},
		{"bad peer", []string{embedded, "--cluster-peers=a:6222,b"}, []string{"cluster-peers", `"b"`, "dns:NAME:PORT"}},
		{"address by dns", []string{embedded, "--cluster-peers=dns:10.0.0.1:6222"}, []string{"cluster-peers", "leave dns: out"}},
		{"bad advertise", []string{embedded, "--cluster-advertise=a:b"}, []string{"cluster-advertise", "HOST:PORT"}},
		{"advertise by dns", []string{embedded, "--cluster-advertise=dns:a:1"}, []string{"cluster-advertise", "HOST:PORT"}},

		{"no secret file", []string{embedded, "--cluster-secret-file=/nonexistent"}, []string{"cluster-secret-file", "/nonexistent"}},
		{"empty secret", []string{embedded, "--cluster-secret-file=" + writeFile(t, "\n")}, []string{"cluster-secret-file", "is empty"}},
		{"empty name of a secret", []string{embedded, "--cluster-secret-file="}, []string{"cluster-secret-file", "leave it out"}},
		{"weak secret", append([]string{"--cluster-listen=:0", "--cluster-secret-file=" + writeFile(t, "s3cr3t")}, tls...), []string{"cluster-secret-file", "fewer than 16 bytes", "openssl"}},
		{"secure and insecure", append([]string{"--cluster-listen=:0", "--insecure-cluster", secret}, tls...), []string{"insecure-cluster", "only one can be meant"}},

		{"certificate alone", []string{embedded, "--cluster-tls-cert-file=" + cert}, []string{"cluster-tls-key-file", "none of them"}},
		{"no authority", append([]string{embedded}, tls[:2]...), []string{"cluster-tls-ca-file", "none of them"}},
		{"no such certificate", append([]string{embedded, tls[1], tls[2]}, "--cluster-tls-cert-file=/nonexistent"), []string{"cluster-tls-cert-file", "/nonexistent"}},
		{"a key as the authority", append([]string{embedded, tls[0], tls[1]}, "--cluster-tls-ca-file="+key), []string{"cluster-tls-ca-file", "no certificate in"}},

		{"peers for nothing", []string{"--cluster-peers=a:1"}, []string{"cluster-peers", "cluster-listen nor cluster-nats"}},
		{"name for nothing", []string{"--cluster-name=a"}, []string{"cluster-name", "cluster-listen nor cluster-nats"}},
		{"secret for nothing", []string{secret}, []string{"cluster-secret-file", "cluster-listen nor cluster-nats"}},
		{"insecure nothing", []string{"--insecure-cluster"}, []string{"insecure-cluster", "cluster-listen nor cluster-nats"}},
		{"credentials for nothing", []string{"--cluster-nats-credentials-file=" + cert}, []string{"cluster-nats-credentials-file", "cluster-listen nor cluster-nats"}},

		{"credentials for the embedded", []string{embedded, "--cluster-nats-credentials-file=" + cert}, []string{"cluster-nats-credentials-file", "for cluster-nats"}},
		{"peers for the external", []string{external, "--cluster-peers=a:1"}, []string{"cluster-peers", "for cluster-listen"}},
		{"advertise for the external", []string{external, "--cluster-advertise=a"}, []string{"cluster-advertise", "for cluster-listen"}},
		{"secret for the external", []string{external, secret}, []string{"cluster-secret-file", "for cluster-listen"}},
		{"no credentials file", []string{external, "--cluster-nats-credentials-file=/nonexistent"}, []string{"cluster-nats-credentials-file", "/nonexistent"}},
		{"certificate without key", []string{external, tls[0]}, []string{"cluster-tls-cert-file", "go together"}},
		{"key without certificate", []string{external, tls[1]}, []string{"cluster-tls-cert-file", "go together"}},
		{"no such authority", []string{external, "--cluster-tls-ca-file=/nonexistent"}, []string{"cluster-tls-ca-file", "/nonexistent"}},
		{"plain text", []string{"--cluster-nats=nats://127.0.0.1:4222,nats://nats.example:4222"}, []string{"cluster-nats", "URL 2", "tls://", "--insecure-cluster"}},
		{"insecure for nothing", []string{external, "--insecure-cluster"}, []string{"insecure-cluster", "only one can be meant"}},
		{"no URL", []string{"--cluster-nats=nats.example:4222"}, []string{"cluster-nats", "URL 1", "nats://"}},
		{"another scheme", []string{"--cluster-nats=https://nats.example"}, []string{"cluster-nats", "URL 1", "tls://"}},
		{"a URL with a path", []string{"--cluster-nats=tls://user:s3cr3t@nats.example/x"}, []string{"cluster-nats", "URL 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.args, nil)
			if err == nil {
				t.Fatal("not refused")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
}

func TestExternalNATSSettings(t *testing.T) {
	cert, _, _ := certificateFiles(t)
	creds := writeFile(t, "creds")
	for _, args := range [][]string{
		{"--cluster-nats=nats://127.0.0.1:4222"},
		{"--cluster-nats=nats://localhost:4222,nats://[::1]:4222"},
		{"--cluster-nats=tls://user:password@nats.example:4222", "--cluster-nats-credentials-file=" + creds},
		{"--cluster-nats=nats://nats.example", "--cluster-tls-ca-file=" + cert},
		{"--cluster-nats=nats://nats.example", "--insecure-cluster"},
	} {
		c, err := load(args, nil)
		if err != nil || !c.cluster.on() {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// TestClusterFilesMayBeRelative: as those of all settings.
func TestClusterFilesMayBeRelative(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(" spaced secret \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load([]string{"--cluster-listen=127.0.0.1:0", "--cluster-secret-file=secret"}, nil)
	if err != nil || string(c.cluster.secret) != "spaced secret" {
		t.Errorf("secret %q, %v", c.cluster.secret, err)
	}
}
