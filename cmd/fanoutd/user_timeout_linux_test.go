package main

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

// The system gives up a backend that does not take what is sent to it after the time that a ping may take, whatever
// the connection is wrapped in.
func TestControlUserTimeout(t *testing.T) {
	authority := certtest.New(t, "authority")
	cert, key := authority.Issue(t, "server").Write(t, t.TempDir())
	for _, tt := range []struct {
		name        string
		args        []string
		credentials credentials.TransportCredentials
	}{
		{"plain", nil, insecure.NewCredentials()},
		{
			"TLS", []string{"--control-tls-cert-file=" + cert, "--control-tls-key-file=" + key},
			credentials.NewTLS(&tls.Config{RootCAs: authority.Pool()}),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := start(t, tt.args...)
			dialled := make(chan string, 1)
			conn, err := grpc.NewClient("passthrough:///"+d.at["backends"], grpc.WithTransportCredentials(tt.credentials),
				grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
					c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
					if err == nil {
						dialled <- c.LocalAddr().String()
					}
					return c, err
				}))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := serverInfo(t, conn); err != nil {
				t.Fatal(err)
			}
			if got, want := userTimeout(t, <-dialled), 15*time.Second; got != want {
				t.Errorf("the accepted connection has %v, want %v", got, want)
			}
		})
	}
}

// userTimeout returns TCP_USER_TIMEOUT of this process's connection with that peer.
func userTimeout(t *testing.T, peer string) time.Duration {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		remote, err := unix.Getpeername(fd)
		if at, ok := remote.(*unix.SockaddrInet4); err != nil || !ok || (&net.TCPAddr{IP: at.Addr[:], Port: at.Port}).String() != peer {
			continue
		}
		ms, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ms) * time.Millisecond
	}
	t.Fatalf("no connection of %s is open", peer)
	return 0
}
