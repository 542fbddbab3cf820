package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestServeAndShutdown is one daemon's life: it serves everybody, says goodbye
// the right way and exits 0.
func TestServeAndShutdown(t *testing.T) {
	d := start(t)
	if status, body := d.get(t, "operators", "/readyz"); status != 200 {
		t.Errorf("/readyz: %d %s", status, body)
	}
	b := connect(t, d.at["browsers"])

	control := dialControl(t, d.at["backends"])
	watch, err := healthv1.NewHealthClient(control).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := watch.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("health: %v, %v", m, err)
	}
	sent, err := fanoutv1.NewEmitterServiceClient(control).Emit(t.Context(),
		&fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "hello", ArgsJson: `[{"n":1}]`})
	if err != nil || sent.GetMatched() != 1 {
		t.Fatalf("Emit: %v, %v", sent, err)
	}
	b.read(t, `42["hello",{"n":1}]`)
	if _, body := d.get(t, "operators", "/metrics"); !strings.Contains(body, "fanoutd_connections 1\n") {
		t.Errorf("metrics do not count the connection:\n%s", body)
	}
	info, err := fanoutv1.NewAdminServiceClient(control).GetServerInfo(t.Context(), &fanoutv1.GetServerInfoRequest{})
	if err != nil || len(info.GetListeners()) != 3 || info.GetListeners()[0].GetAddress() != d.at["browsers"] {
		t.Errorf("GetServerInfo: %v, %v", info, err)
	}

	d.stop()
	if m, err := watch.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health at the end: %v, %v", m, err)
	}
	b.end(t)
	if code := d.wait(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, d.logs)
	}
}

// TestPollingClientAtShutdown: the pending poll is answered with a close
// packet, not cut off.
func TestPollingClientAtShutdown(t *testing.T) {
	d := start(t)
	_, open := d.get(t, "browsers", "/socket.io/?EIO=4&transport=polling")
	var handshake struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &handshake); err != nil {
		t.Fatalf("%s: %v", open, err)
	}
	answer := make(chan string, 1)
	asked := make(chan struct{})
	go func() {
		conn, err := net.Dial("tcp", d.at["browsers"])
		if err != nil {
			answer <- err.Error()
			close(asked)
			return
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "GET /socket.io/?EIO=4&transport=polling&sid="+handshake.SID+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		close(asked)
		b, rerr := io.ReadAll(conn)
		if err != nil || rerr != nil {
			b = []byte("broken off")
		}
		answer <- string(b)
	}()
	<-asked
	d.stop()
	if got := <-answer; !strings.HasPrefix(got, "HTTP/1.1 200 OK") || !strings.HasSuffix(got, "\r\n\r\n1") {
		t.Errorf("the poll was answered %q", got)
	}
	if code := d.wait(t); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, d.logs)
	}
}

func TestControlKeyIsAsked(t *testing.T) {
	d := start(t, "--control-key=one,two", "--control-listen=127.0.0.1:0")
	c := fanoutv1.NewAdminServiceClient(dialControl(t, d.at["backends"]))
	for key, want := range map[string]codes.Code{"": codes.Unauthenticated, "wrong": codes.Unauthenticated, "one": codes.OK, "two": codes.OK} {
		ctx := t.Context()
		if key != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
		}
		if _, err := c.GetServerInfo(ctx, &fanoutv1.GetServerInfoRequest{}); status.Code(err) != want {
			t.Errorf("key %q: %v, want %v", key, err, want)
		}
	}
	if strings.Contains(d.logs.String(), "one,two") {
		t.Error("the log shows the keys")
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	// A socket that a killed process left behind.
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()

	d := start(t, "--control-listen=unix:"+path)
	if d.at["backends"] != "unix:"+path {
		t.Errorf("serves backends at %s", d.at["backends"])
	}
	c := fanoutv1.NewAdminServiceClient(dialControl(t, d.at["backends"]))
	if _, err := c.GetServerInfo(t.Context(), &fanoutv1.GetServerInfoRequest{}); err != nil {
		t.Error(err)
	}
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--control-listen=unix:" + path}, nil, io.Discard, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "control-listen") {
		t.Errorf("a second daemon on the socket: exit code %d, %s", code, &stderr)
	}
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, name := range []string{"listen", "control-listen", "ops-listen"} {
		t.Run(name, func(t *testing.T) {
			args := []string{"--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0",
				"--" + name + "=" + taken.Addr().String()}
			var stderr bytes.Buffer
			if code := run(t.Context(), args, nil, io.Discard, &stderr); code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			if got := stderr.String(); !strings.Contains(got, "setting "+name) || !strings.Contains(got, taken.Addr().String()) {
				t.Errorf("got %s", got)
			}
			if strings.Contains(stderr.String(), "serving") {
				t.Error("served before all listeners were bound")
			}
		})
	}
}
