package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

// slowPatience is longer than the 10 s in which a connection has to say what it is.
const slowPatience = 40 * time.Second

// TestFaultSlow: whoever takes forever over a handshake, on any listener, is cut off in
// spite of a byte now and then; the others are served.
func TestFaultSlow(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for timeouts; run without -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), siegePatience)
	t.Cleanup(cancel)
	path := binary(ctx, t)
	cert, key := certtest.New(t, "servers").Issue(t, "server").Write(t, t.TempDir())
	plain := runDaemon(ctx, t, path)
	secure := runDaemon(ctx, t, path,
		"--tls-cert-file="+cert, "--tls-key-file="+key, "--control-tls-cert-file="+cert, "--control-tls-key-file="+key)
	const clientHello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" // of 512 bytes
	for _, a := range []struct{ name, address, start string }{
		{"control API, nothing", plain.control, ""},
		{"control API, half of the preface", plain.control, "PRI * HT"},
		{"operators, nothing", plain.ops, ""},
		{"operators, headers without end", plain.ops, "GET /metrics HTTP/1.1\r\nX: "},
		{"browsers, nothing, TLS", secure.listen, ""},
		{"browsers, half of a TLS handshake", secure.listen, clientHello},
		{"control API, half of a TLS handshake", secure.control, clientHello},
	} {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			err := swarm(50, 50, func(int) error { return slowly(ctx, a.address, a.start) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("others are served", func(t *testing.T) {
		t.Parallel()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for range 10 {
			emitter, _ := dialControl(t, plain.control)
			if _, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e"}); err != nil {
				t.Error(err)
			}
			if w, err := (&siege{T: t, ctx: ctx, daemon: plain}).webSocket(""); err != nil {
				t.Error(err)
			} else {
				_ = w.Close()
			}
			<-tick.C
		}
	})
}

// slowly sends start, if there is any, and a byte every two seconds after it. It is an
// error if the daemon bears that.
func slowly(ctx context.Context, address, start string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	ended := make(chan error, 1)
	go func() {
		_ = c.SetReadDeadline(time.Now().Add(slowPatience))
		_, err := io.Copy(io.Discard, c)
		ended <- err
	}()
	if _, err := io.WriteString(c, start); err != nil {
		return err
	}
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if start != "" {
				_, _ = io.WriteString(c, "x") // an error: the daemon has lost patience
			}
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("%s bears it for %v", address, slowPatience)
			}
			return nil
		}
	}
}
