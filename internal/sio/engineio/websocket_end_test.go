package engineio

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
)

// TestReadReasonNamesNoAddress: backends hear the detail, and our own addresses are
// none of their business.
func TestReadReasonNamesNoAddress(t *testing.T) {
	broken := &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 8080}, Err: syscall.ECONNRESET}
	for _, err := range []error{broken, fmt.Errorf("websocket: %w", broken)} {
		reason, detail := readReason(err)
		if reason != ReasonTransportError || detail != "connection reset by peer" {
			t.Errorf("%v: %q, %q", err, reason, detail)
		}
	}
	if _, detail := readReason(errors.New("bad frame")); detail != "bad frame" {
		t.Errorf("got %q", detail)
	}
}
