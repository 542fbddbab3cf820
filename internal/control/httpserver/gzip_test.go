package httpserver

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"
	"testing"
)

// packed is text by gzip.
func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// packedFrame is frame with a message that is compressed.
func packedFrame(text string) string {
	return string(binary.BigEndian.AppendUint32([]byte{1}, uint32(len(text)))) + text
}

// A request may be compressed, and is bounded by what comes out: the rest of one that is too
// large is not even unpacked.
func TestCompressed(t *testing.T) {
	const (
		healthPath = "/grpc.health.v1.Health/Check"
		listPath   = "/grpc.health.v1.Health/List"
		watchPath  = "/grpc.health.v1.Health/Watch"
		maxRequest = 1 << 20
	)
	w := serve(t, callers(t), Options{Open: true})
	zeros := strings.Repeat("\x00", 100<<20)
	manyZeros := packed(t, zeros)
	fits := goodEmit + strings.Repeat(" ", maxRequest-len(goodEmit))
	unary, stream, web := []string{"Content-Encoding", "gzip"}, []string{"Content-Type", "application/connect+proto", "Connect-Content-Encoding", "gzip"},
		[]string{"Content-Type", "application/grpc-web+proto", "Grpc-Encoding", "gzip"}
	for _, tt := range []struct {
		name, path, body string
		headers          []string
		status           int
		grpcStatus       string // or part of the answer
		unpacked         int64
	}{
		{"a request", emitPath, packed(t, goodEmit), unary, 200, "matched", int64(len(goodEmit))},
		{"one that just fits", emitPath, packed(t, fits), unary, 200, "matched", maxRequest},
		{"a byte too many", emitPath, packed(t, fits+" "), unary, 429, "resource_exhausted", maxRequest + 1},
		{"a large one", emitPath, manyZeros, unary, 429, "resource_exhausted", maxRequest + 1},
		{"a large one of gRPC-Web", emitPath, packedFrame(manyZeros), web, 200, "8", maxRequest + 1},
		{"a large one of a stream", tailPath, packedFrame(manyZeros), stream, 200, "resource_exhausted", maxRequest + 1},
		{"a large one that needs no key", healthPath, manyZeros, unary, 429, "resource_exhausted", 0},
		{"one that is large unpacked and needs no key", healthPath, packed(t, zeros[:1<<20]), unary, 429, "resource_exhausted", maxOpenBytes + 1},
		{"the same of gRPC-Web", healthPath, packedFrame(packed(t, zeros[:1<<20])), web, 200, "8", maxOpenBytes + 1},
		{"the same of a stream", watchPath, packedFrame(packed(t, zeros[:1<<20])), stream, 200, "resource_exhausted", maxOpenBytes + 1},
		{"the same that any key may call", listPath, packed(t, zeros[:1<<20]), unary, 429, "resource_exhausted", maxOpenBytes + 1},
		{"one that is as it should be and needs no key", healthPath, packed(t, "{}"), unary, 200, "SERVING", 2},
	} {
		before := w.unpacked.Load()
		resp := w.do(w.request(tt.path, tt.body, tt.headers...))
		text := readAll(t, resp)
		grpcStatus := resp.Header.Get("Grpc-Status")
		if _, after, ok := strings.Cut(text, "grpc-status: "); ok {
			grpcStatus, _, _ = strings.Cut(after, "\r\n")
		}
		if resp.StatusCode != tt.status || grpcStatus != tt.grpcStatus && !strings.Contains(text, tt.grpcStatus) {
			t.Errorf("%s in %d bytes: got %d, %q, gRPC's status %q, want %d, %s", tt.name, len(tt.body), resp.StatusCode, text, grpcStatus, tt.status, tt.grpcStatus)
		}
		if got := w.unpacked.Load() - before; got != tt.unpacked {
			t.Errorf("%s in %d bytes: %d bytes were unpacked, want %d", tt.name, len(tt.body), got, tt.unpacked)
		}
	}
}
