package main

import (
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

func TestTLSRefusals(t *testing.T) {
	authority, dir := certtest.New(t, "authority"), t.TempDir()
	cert, key := authority.Issue(t, "one").Write(t, dir)
	other := certtest.Write(t, dir, "other.pem", authority.Issue(t, "two").Key)
	ca := certtest.Write(t, dir, "ca.pem", authority.PEM())
	pair := []string{"--control-tls-cert-file=" + cert, "--control-tls-key-file=" + key}
	for _, tt := range []struct {
		name string
		args []string
		want []string // in the error; none: it is taken
	}{
		{"a pair", pair, nil},
		{"a pair and authorities", append(pair, "--control-client-ca-file="+ca), nil},
		{"no key", pair[:1], []string{"control-tls-cert-file (flag", "set control-tls-key-file too"}},
		{"no certificate", pair[1:], []string{"control-tls-key-file (flag", "set control-tls-cert-file too"}},
		{"an empty name", []string{"--control-tls-cert-file="}, []string{"control-tls-cert-file", "empty"}},
		{"no such file", []string{"--control-tls-cert-file=/nonexistent", pair[1]}, []string{"control-tls-cert-file", "/nonexistent", "no such file"}},
		{"another's key", []string{pair[0], "--control-tls-key-file=" + other}, []string{"control-tls-cert-file", other, "does not match", "its own key"}},
		{"authorities for nothing", []string{"--control-client-ca-file=" + ca}, []string{"control-client-ca-file", "set control-tls-cert-file"}},
		{"no authorities", append(pair, "--control-client-ca-file="+key), []string{"control-client-ca-file", key, "no certificate", "name a PEM file"}},
		{"browsers' pair", []string{"--tls-cert-file=" + cert, "--tls-key-file=" + key}, nil},
		{"browsers' certificate alone", []string{"--tls-cert-file=" + cert}, []string{"tls-cert-file (flag", "set tls-key-file too"}},
		{"browsers' key is another's", []string{"--tls-cert-file=" + cert, "--tls-key-file=" + other}, []string{"tls-cert-file (flag", "does not match"}},
		{"WebTransport by browsers' pair", []string{"--webtransport-listen=:0", "--tls-cert-file=" + cert, "--tls-key-file=" + key}, nil},
		{"a cluster whose nodes cannot hand over", []string{"--tls-cert-file=" + cert, "--tls-key-file=" + key, "--cluster-listen=127.0.0.1:0"},
			[]string{"listen (the default)", "tls-cert-file is set", "set cluster-forward-listen"}},
		{"a cluster behind a unix socket", []string{"--listen=unix:/run/x", "--cluster-listen=127.0.0.1:0"}, []string{"listen (flag", "unix socket", "set cluster-forward-listen"}},
		{"a cluster behind the PROXY protocol", []string{"--proxy-protocol", "--trusted-proxies=10.0.0.1", "--cluster-listen=127.0.0.1:0"}, []string{"listen (the default)", "proxy-protocol is set", "set cluster-forward-listen"}},
		{"a cluster whose nodes can", []string{"--listen=unix:/run/x", "--cluster-listen=127.0.0.1:0", "--cluster-forward-listen=:0"}, nil},
		{"two mistakes", []string{"--tls-cert-file=" + cert, "--control-tls-key-file=" + key}, []string{"set tls-key-file too", "set control-tls-cert-file too"}},
		{"an empty name of authorities", append(pair, "--control-client-ca-file="), []string{"control-client-ca-file", "empty"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.args, nil)
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to have %q", err, want)
				}
			}
		})
	}
}
