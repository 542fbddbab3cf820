package direct

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// pair returns a connection that [Listen] accepted, and its peer.
func pair(t *testing.T, network, address string) (direct, peer net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	l = Listen(l)
	defer l.Close()
	if peer, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if direct, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { direct.Close(); peer.Close() })
	return direct, peer
}

// eachNetwork runs f with a connection of each kind.
func eachNetwork(t *testing.T, f func(t *testing.T, direct, peer net.Conn)) {
	t.Helper()
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			direct, peer := pair(t, network, address)
			f(t, direct, peer)
		})
	}
}

// What is written to a peer that reads late arrives, whole and in order, in both directions
// at once.
func TestDirect(t *testing.T) {
	eachNetwork(t, func(t *testing.T, direct, peer net.Conn) {
		sent := bytes.Repeat([]byte("0123456789abcde"), 1<<20) // more than sockets hold
		for _, way := range []struct{ from, to net.Conn }{{direct, peer}, {peer, direct}} {
			go func() {
				if n, err := way.from.Write(sent); n != len(sent) || err != nil {
					t.Errorf("wrote %d, %v", n, err)
				}
			}()
		}
		for _, c := range []net.Conn{peer, direct} {
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("other bytes, %v", err)
			}
		}
	})
}

func TestDirectEnds(t *testing.T) {
	eachNetwork(t, func(t *testing.T, direct, peer net.Conn) {
		direct.SetReadDeadline(time.Now())
		_, err := direct.Read(make([]byte, 1))
		if netErr := net.Error(nil); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &netErr) || !netErr.Timeout() {
			t.Errorf("after the deadline: %v", err)
		}
		direct.SetReadDeadline(time.Time{})
		if n, err := direct.Read(nil); n != 0 || err != nil {
			t.Errorf("read of nothing: %d, %v", n, err)
		}
		peer.Close()
		if n, err := direct.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // readers compare
			t.Errorf("at the end: %d, %v", n, err)
		}
		for err = nil; err == nil; {
			_, err = direct.Write([]byte("x"))
		}
		if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Op != "write" || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write to a peer that has left: %v", err)
		}
		direct.Close()
		if _, err := direct.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read when closed: %v", err)
		}
		if _, err := direct.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write when closed: %v", err)
		}
	})
}
