package httpserver

import (
	"compress/gzip"
	"errors"
	"io"
	"sync/atomic"

	"connectrpc.com/connect"
)

// errUnpacked ends what unpacks to more than a request may have.
var errUnpacked = errors.New("the request unpacks to more than is read of it")

// unpacker unpacks a request until it is one byte larger than it may be. That is when
// connect-go refuses it, and it would unpack the rest only to say how large it is: of 16 MiB
// that is up to 16 GiB.
type unpacker struct {
	gzip.Reader
	limit int           // bytes
	left  int           // of limit and one more
	total *atomic.Int64 // bytes that all requests were unpacked to
}

var _ connect.Decompressor = (*unpacker)(nil)

// Reset begins with another request.
func (u *unpacker) Reset(from io.Reader) error {
	u.left = u.limit + 1
	return u.Reader.Reset(from)
}

func (u *unpacker) Read(p []byte) (int, error) {
	if u.left == 0 {
		return 0, errUnpacked
	}
	n, err := u.Reader.Read(p[:min(len(p), u.left)])
	u.left -= n
	u.total.Add(int64(n))
	return n, err
}

// withGzip has requests of at most limit bytes, unpacked, come compressed, and answers go so.
func (s *Server) withGzip(limit int) connect.HandlerOption {
	return connect.WithCompression("gzip",
		func() connect.Decompressor { return &unpacker{limit: limit, total: &s.unpacked} },
		func() connect.Compressor { return gzip.NewWriter(io.Discard) })
}
