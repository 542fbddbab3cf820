package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// The endpoint alone is to blame where no request reached it. Beyond that the event may have
// brought it down, however a connection tells.
func TestBlame(t *testing.T) {
	aborting := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	serve := func(t *testing.T, http2, known bool, h http.HandlerFunc) Endpoint {
		s := httptest.NewUnstartedServer(h)
		s.EnableHTTP2, s.Config.ErrorLog = http2, slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.StartTLS()
		t.Cleanup(s.Close)
		e := Endpoint{URL: s.URL}
		if known {
			e.CA = x509.NewCertPool()
			e.CA.AddCert(s.Certificate())
		}
		return e
	}
	// raw answers every connection in this way.
	raw := func(t *testing.T, scheme string, answer func(net.Conn)) Endpoint {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				answer(c)
				c.Close()
			}
		}()
		return Endpoint{URL: scheme + "://" + l.Addr().String()}
	}
	for _, tt := range []struct {
		name     string
		endpoint func(t *testing.T) Endpoint
		want     blame
	}{
		{"reset over HTTP/2", func(t *testing.T) Endpoint {
			return serve(t, true, true, func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					t.Errorf("the request is of %s", r.Proto)
				}
				aborting(w, r)
			})
		}, uncertain},
		{"cut off over HTTP/1.1", func(t *testing.T) Endpoint { return serve(t, false, true, aborting) }, uncertain},
		{"no HTTP", func(t *testing.T) Endpoint {
			return raw(t, "http", func(c net.Conn) {
				io.ReadAtLeast(c, make([]byte, 64), 64) // of the request
				io.WriteString(c, "hello\r\n\r\n")
			})
		}, uncertain},
		{"nobody listens", func(t *testing.T) Endpoint {
			e := serve(t, false, true, aborting)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			e.URL = "http://" + l.Addr().String()
			return e
		}, endpoint},
		{"a certificate of others", func(t *testing.T) Endpoint { return serve(t, true, false, aborting) }, endpoint},
		{"no TLS", func(t *testing.T) Endpoint { return raw(t, "https", func(net.Conn) {}) }, endpoint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMember(New(Options{Node: "n"}), tt.endpoint(t).withDefaults(), newCounts(), 1)
			defer m.client.CloseIdleConnections()
			_, err := m.ask(t.Context(), &fanoutv1.Event{DeliveryId: "1", Kind: fanoutv1.Event_MESSAGE})
			if err == nil || blameFor(err) != tt.want {
				t.Errorf("%v blames %d, want %d", err, blameFor(err), tt.want)
			}
		})
	}
}

// A dial ends with the time of a request, and not the event is to blame then.
func TestDialThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		lasted := make(chan time.Duration, 1)
		s := New(Options{Node: "n", dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case <-ctx.Done():
			case <-time.After(time.Hour):
			}
			lasted <- time.Since(began)
			return nil, errors.New("no connection")
		}})
		m := newMember(s, Endpoint{URL: "http://endpoint/", Timeout: time.Minute}.withDefaults(), newCounts(), 1)
		_, err := m.ask(t.Context(), &fanoutv1.Event{DeliveryId: "1", Kind: fanoutv1.Event_MESSAGE})
		if blameFor(err) != endpoint {
			t.Errorf("%v blames %d", err, blameFor(err))
		}
		if d := <-lasted; d != time.Minute {
			t.Errorf("it dialed for %v", d)
		}
	})
}
