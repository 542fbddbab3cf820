package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// awaitMetric waits until a daemon's metrics have a line.
func (d *running) awaitMetric(t *testing.T, line string) {
	t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, page := d.get(t, "operators", "/metrics")
		if strings.Contains(page, "\n"+line+"\n") {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("no metric %q:\n%s", line, d.logs)
		}
	}
}

// TestNodesMeet: two daemons with a secret and certificates reach each other, and one
// that ends leaves the other.
func TestNodesMeet(t *testing.T) {
	secret := writeFile(t, "0123456789abcdef")
	cert, key, _ := certificateFiles(t)
	args := []string{"--cluster-listen=127.0.0.1:0", "--cluster-secret-file=" + secret,
		"--cluster-tls-cert-file=" + cert, "--cluster-tls-key-file=" + key, "--cluster-tls-ca-file=" + cert}
	a := start(t, append(args, "--node-name=a")...)
	b := start(t, append(args, "--node-name=b", "--cluster-peers="+a.at["nodes"])...)
	a.awaitMetric(t, "fanoutd_bus_routes 1")
	b.awaitMetric(t, "fanoutd_bus_routes 1")
	b.awaitMetric(t, "fanoutd_bus_connected 1")
	b.awaitMetric(t, "fanoutd_bus_dropped_total 0")
	b.stop()
	if code := b.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	a.awaitMetric(t, "fanoutd_bus_routes 0")
	for _, d := range []*running{a, b} {
		if strings.Contains(d.logs.String(), "0123456789abcdef") {
			t.Error("the secret is in the log")
		}
	}
}

// TestExternalNATSMayBeAway: a daemon starts without it, and says so.
func TestExternalNATSMayBeAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	d := start(t, "--cluster-nats=nats://"+l.Addr().String())
	d.awaitMetric(t, "fanoutd_bus_connected 0")
	if code, _ := d.get(t, "operators", "/readyz"); code != 200 {
		t.Errorf("/readyz says %d: its own browsers can be served", code)
	}
}

func TestNoBusWithoutACluster(t *testing.T) {
	d := start(t)
	if _, page := d.get(t, "operators", "/metrics"); strings.Contains(page, "fanoutd_bus_") {
		t.Error("metrics of a bus that is not there")
	}
}

func TestClusterPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0",
		"--cluster-listen=" + l.Addr().String()}, nil, io.Discard, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "cluster-listen") || !strings.Contains(stderr.String(), "address already in use") {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}
