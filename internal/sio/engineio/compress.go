package engineio

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// compressThreshold is the least number of bytes worth compressing, for polls
// and WebSocket messages alike, as in the reference (engine.io/lib/server.ts).
const compressThreshold = 1024

// compressor is what both of the standard library's writers are.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// coding is a content coding (RFC 9110, 8.4.1) with its idle writers: one costs
// most of a megabyte to make. The level is the fastest: polls do not repeat.
type coding struct {
	name    string
	writers sync.Pool
}

// codings are those of the reference (engine.io/lib/transports/polling.ts), in
// the order of choice among what a client likes equally well. Brotli would not
// pay for itself on bodies that are compressed once and read once.
var codings = []*coding{
	{name: "gzip", writers: sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
		return w
	}}},
	{name: "deflate", writers: sync.Pool{New: func() any { // the zlib format, despite its name
		w, _ := zlib.NewWriterLevel(nil, zlib.BestSpeed) // the level is valid
		return w
	}}},
}

func (c *coding) compress(data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data) / 4)
	w := c.writers.Get().(compressor)
	defer c.writers.Put(w)
	w.Reset(&b)
	w.Write(data) //nolint:errcheck // a buffer takes everything
	w.Close()
	return b.Bytes()
}

// acceptedCoding picks a coding by the Accept-Encoding header (RFC 9110,
// 12.5.3). nil: the body goes out as it is.
func acceptedCoding(h http.Header) *coding {
	var best *coding
	bestQ := 0.0
	for _, c := range codings {
		if q := codingWeight(h["Accept-Encoding"], c.name); q > bestQ {
			best, bestQ = c, q
		}
	}
	return best
}

// codingWeight returns how much a client likes a coding, 0 to 1. What is
// malformed counts as not acceptable.
func codingWeight(header []string, name string) float64 {
	rest := 0.0 // of "*": all that are not named
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			n, params, weighted := strings.Cut(item, ";")
			q := 1.0
			if weighted {
				v, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(params)), "q=")
				parsed, err := strconv.ParseFloat(v, 64)
				if !ok || err != nil || !(parsed >= 0 && parsed <= 1) {
					parsed = 0
				}
				q = parsed
			}
			switch n = strings.TrimSpace(n); {
			case strings.EqualFold(n, name):
				return q
			case n == "*":
				rest = q
			}
		}
	}
	return rest
}

// compressBody compresses the body of an answer if that is worth it and the
// client takes it, and sets the headers that say so.
func (s *Server) compressBody(h http.Header, r *http.Request, body []byte) []byte {
	if s.opts.NoHTTPCompression || len(body) < compressThreshold {
		return body
	}
	h.Add("Vary", "Accept-Encoding")
	c := acceptedCoding(r.Header)
	if c == nil {
		return body
	}
	h.Set("Content-Encoding", c.name)
	return c.compress(body)
}
