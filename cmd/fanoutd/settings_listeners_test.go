package main

import (
	"slices"
	"strings"
	"testing"
)

func TestControlExposure(t *testing.T) {
	tests := []struct {
		listen  string
		args    []string
		refused bool
	}{
		{"127.0.0.1:0", nil, false},
		{"127.9.9.9:0", nil, false},
		{"[::1]:0", nil, false},
		{"localhost:0", nil, false},
		{"unix:/run/fanoutd.sock", nil, false},
		{":0", nil, true},
		{"0.0.0.0:0", nil, true},
		{"[::]:0", nil, true},
		{"10.0.0.1:0", nil, true},
		{"localhost.example.com:0", nil, true},
		{"example.com:0", nil, true},
		{":0", []string{"--control-key=0123456789abcdef"}, false},
		{":0", []string{"--insecure-control"}, false},
		{":0", []string{"--insecure-control=false"}, true},
	}
	for _, tt := range tests {
		t.Run(strings.Join(append(tt.args, tt.listen), " "), func(t *testing.T) {
			_, err := load(append(tt.args, "--control-listen", tt.listen), nil)
			if (err != nil) != tt.refused {
				t.Fatalf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "--insecure-control") {
				t.Errorf("does not say what to do: %v", err)
			}
		})
	}
}

func TestControlKeys(t *testing.T) {
	const secret = "s3cr3t-one"
	file := writeFile(t, secret+"\ntwo\n")
	tests := []struct {
		name string
		args []string
		env  string
		want []string // keys; nil: refused
		msg  string
	}{
		{"flag", []string{"--control-key=" + secret}, "", []string{secret}, ""},
		{"environment", nil, "FANOUTD_CONTROL_KEY=" + secret + ",two", []string{secret, "two"}, ""},
		{"file", []string{"--control-key-file=" + file}, "", []string{secret, "two"}, ""},
		{"three", []string{"--control-key=" + secret + ",b,c"}, "", nil, "at most two"},
		{"blank inside", []string{"--control-key=" + secret + " x"}, "", nil, "blank"},
		{"empty entry", nil, "FANOUTD_CONTROL_KEY=," + secret, nil, "empty"},
		{"empty variable", nil, "FANOUTD_CONTROL_KEY=", nil, "empty"},
		{"empty file name", []string{"--control-key-file="}, "", nil, "empty"},
		{"empty file", []string{"--control-key-file=" + writeFile(t, "\n")}, "", nil, "is empty"},
		{"file of blanks", []string{"--control-key-file=" + writeFile(t, " \n ")}, "", nil, "holds no key"},
		{"missing file", []string{"--control-key-file=/nonexistent"}, "", nil, "/nonexistent"},
		{"both", []string{"--control-key-file=" + file, "--control-key=" + secret}, "", nil, "one of them"},
		{"weak, and others can reach it", []string{"--control-key=0123456789abcdef," + secret, "--control-listen=:0"}, "", nil, "key 2 has fewer than 16 bytes"},
		{"weak in a file", []string{"--control-key-file=" + file, "--control-listen=example.com:1"}, "", nil, "openssl rand"},
		{"strong", []string{"--control-key=0123456789abcdef", "--control-listen=:0"}, "", []string{"0123456789abcdef"}, ""},
		{"key and insecure", []string{"--insecure-control"}, "FANOUTD_CONTROL_KEY=" + secret, nil, "only one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(tt.args, []string{tt.env})
			if tt.want == nil {
				if err == nil || !strings.Contains(err.Error(), tt.msg) || !strings.Contains(err.Error(), "control") {
					t.Fatalf("got %v", err)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("shows the key: %v", err)
				}
				return
			}
			if err != nil || !slices.Equal(c.listeners.controlKeys, tt.want) {
				t.Errorf("got %q, %v", c.listeners.controlKeys, err)
			}
		})
	}
}

func TestListenersMeet(t *testing.T) {
	tests := []struct {
		args []string
		want string // empty: none
	}{
		{[]string{"--listen=127.0.0.1:8081"}, "control-listen"},
		{[]string{"--control-listen=localhost:8080"}, "control-listen"},
		{[]string{"--ops-listen=unix:/run/f.sock", "--listen=unix:/run//f.sock"}, "ops-listen"},
		{[]string{"--cluster-listen=127.0.0.1:8082"}, "cluster-listen"},
		{[]string{"--cluster-listen=127.0.0.1:6222", "--cluster-forward-listen=127.0.0.1:6222"}, "cluster-forward-listen"},
		{[]string{"--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0"}, ""},
		{[]string{"--listen=10.0.0.1:8081"}, ""},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			_, err := load(tt.args, nil)
			if (err != nil) != (tt.want != "") || err != nil && (!strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(err.Error(), "set another address or port")) {
				t.Errorf("got %v, want an error of %q", err, tt.want)
			}
		})
	}
}

func TestWebTransportRefusals(t *testing.T) {
	cert, key, _ := certificateFiles(t)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no certificate", []string{"--webtransport-listen=:4433"}, "needs a certificate"},
		{"no key", []string{"--webtransport-listen=:4433", "--webtransport-cert-file=" + cert}, "set webtransport-key-file too"},
		{"certificate for nothing", []string{"--webtransport-cert-file=" + cert}, "webtransport-listen is not set"},
		{"key for nothing", []string{"--webtransport-key-file=" + key}, "webtransport-listen is not set"},
		{"no such file", []string{"--webtransport-listen=:4433", "--webtransport-cert-file=/nonexistent", "--webtransport-key-file=" + key}, "/nonexistent"},
		{"bad address", []string{"--webtransport-listen=here"}, "HOST:PORT"},
		{"no other transport", []string{"--transports=webtransport"}, "webtransport-listen is not set"},
		{"left out", []string{"--webtransport-listen=:4433", "--webtransport-cert-file=" + cert, "--webtransport-key-file=" + key, "--transports=polling"}, "leaves webtransport out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(tt.args, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error with %q", err, tt.want)
			}
		})
	}
}
