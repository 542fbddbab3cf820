package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

// lastEvent ends what a load emits.
const lastEvent = `42["last"]`

// loadClients is how many clients are connected while something is exchanged. With SOAK=1
// there are 2,000.
func loadClients() int {
	if os.Getenv("SOAK") != "" {
		return 2000
	}
	return 200
}

// takeAll reads the events 1, 2, 3 and so on until the last, and returns how many there
// were. It may be called from any goroutine.
func (b browser) takeAll() (int, error) {
	for n := 0; ; n++ {
		if err := b.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return n, err
		}
		_, m, err := b.ReadMessage()
		switch want := fmt.Sprintf(`42["n",%d]`, n+1); {
		case err != nil:
			return n, err
		case string(m) == lastEvent:
			return n, nil
		case string(m) != want:
			return n, fmt.Errorf("read %s, want %s", m, want)
		}
	}
}

// underLoad connects clients and emits numbered events to all of them while exchange runs.
// Nobody may miss one, or be dropped. emit may be called from a goroutine of its own.
func underLoad(t *testing.T, connect func() browser, emit func(event, args string) error, exchange func()) {
	t.Helper()
	taken, failures := make([]int, loadClients()), make([]error, loadClients())
	var taking sync.WaitGroup
	for i := range taken {
		b := connect()
		taking.Go(func() { taken[i], failures[i] = b.takeAll() })
	}
	const around = 10 // events before and after
	begun, exchanged, emitted := make(chan struct{}), make(chan struct{}), 0
	var emitting sync.WaitGroup
	emitting.Go(func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for left, over := around, (<-chan struct{})(exchanged); left > 0; {
			select {
			case <-over:
				over = nil
			case <-pace.C:
				if err := emit("n", fmt.Sprintf("[%d]", emitted+1)); err != nil {
					t.Errorf("emit: %v", err)
					if emitted < around {
						close(begun)
					}
					return
				}
				if emitted++; emitted == around {
					close(begun)
				}
				if over == nil {
					left--
				}
			}
		}
	})
	<-begun
	exchange()
	close(exchanged)
	emitting.Wait()
	if err := emit("last", ""); err != nil {
		t.Fatal(err)
	}
	taking.Wait()
	for i := range taken {
		if failures[i] != nil || taken[i] != emitted {
			t.Errorf("client %d took %d events of %d: %v", i, taken[i], emitted, failures[i])
		}
	}
	t.Logf("%d clients took %d events each", len(taken), emitted)
}

// emitTo emits to whom want is.
func emitTo(t *testing.T, backend fanoutv1.EmitterServiceClient, to *fanoutv1.Target) func(event, args string) error {
	return func(event, args string) error {
		_, err := backend.Emit(t.Context(), &fanoutv1.EmitRequest{To: to, Event: event, ArgsJson: args})
		return err
	}
}

// The certificates for browsers and for backends are exchanged while events go out: nobody
// who is connected is dropped or misses one, and who comes next is shown the new
// certificate.
func TestCertificatesAreExchangedUnderLoad(t *testing.T) {
	before, after := certtest.New(t, "before"), certtest.New(t, "after")
	dir := t.TempDir()
	cert, key := before.Issue(t, "one").Write(t, dir)
	d := start(t, "--tls-cert-file="+cert, "--tls-key-file="+key, "--control-tls-cert-file="+cert, "--control-tls-key-file="+key,
		"--max-handshake-rate=0", "--ping-interval=5m")
	dialer := func(trusts *x509.CertPool) websocket.Dialer {
		return websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: trusts}}
	}
	url := "wss://" + d.at["browsers"]
	backend := fanoutv1.NewEmitterServiceClient(dialControlTLS(t, d.at["backends"], before.Pool()))
	underLoad(t, func() browser { return joinBy(t, dialer(before.Pool()), url, nil) }, emitTo(t, backend, &fanoutv1.Target{All: true}), func() {
		after.Issue(t, "two").Write(t, dir)
		awaitShown(t, d.at["browsers"], "two")
		awaitShown(t, d.at["backends"], "two")
		joinBy(t, dialer(after.Pool()), url, nil)
		if err := serverInfo(t, dialControlTLS(t, d.at["backends"], after.Pool())); err != nil {
			t.Errorf("a backend that trusts the new authority: %v", err)
		}
	})
	old := dialer(before.Pool())
	if conn, resp, err := old.Dial(url+"/socket.io/?EIO=4&transport=websocket", nil); err == nil {
		resp.Body.Close()
		conn.Close()
		t.Error("who trusts the old authority alone connects still")
	}
}
