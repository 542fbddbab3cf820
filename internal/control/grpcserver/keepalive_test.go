package grpcserver

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fanoutd/fanoutd/internal/control"
)

// A client may ping every five seconds, also without a call; one that pings all
// the time is told to go. gRPC for Go cannot be set to less than ten seconds,
// so this speaks HTTP/2 itself.
func TestKeepalivePolicy(t *testing.T) {
	for _, tt := range []struct {
		every time.Duration
		away  bool
	}{
		{5 * time.Second, false},
		{time.Second, true},
	} {
		t.Run(tt.every.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(control.New(&fakeHub{}, control.Options{Logger: slog.New(slog.DiscardHandler)}), authenticator(t), Options{})
				l := bufconn.Listen(1 << 20)
				go s.Serve(l)
				conn, err := l.Dial()
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					conn.Close()
					if err := s.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				}()
				away := make(chan bool, 1)
				framer := speakHTTP2(t, conn, away)
				for range 10 {
					time.Sleep(tt.every)
					if framer.WritePing(false, [8]byte{}) != nil {
						break // told to go, and cut off
					}
				}
				synctest.Wait()
				got := false
				select {
				case got = <-away:
				default:
				}
				if got != tt.away {
					t.Errorf("told to go: %v, want %v", got, tt.away)
				}
			})
		})
	}
}

// speakHTTP2 begins as a client and reads what comes; away hears of a GOAWAY.
func speakHTTP2(t *testing.T, conn net.Conn, away chan<- bool) *http2.Framer {
	t.Helper()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			f, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if g, ok := f.(*http2.GoAwayFrame); ok {
				away <- g.ErrCode == http2.ErrCodeEnhanceYourCalm
				return
			}
		}
	}()
	return framer
}
