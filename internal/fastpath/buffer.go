package fastpath

import (
	"bufio"
	"bytes"
	"net/http"
	"sync"
)

// buffer holds the first bytes that a connection has to read while they are parsed.
type buffer struct {
	head   [maxRequest]byte
	peeked int           // bytes of head that are filled
	last   bool          // no more will come, or not in time
	bytes  bytes.Reader  // over them
	reader *bufio.Reader // over bytes, for http.ReadRequest

	// Of parse.
	request   *http.Request // nil: none that is to be served here
	handshake bool          // it is one; else a poll
	length    int           // in bytes
}

// maxRequest bounds, in bytes, the requests that are looked at, with their bodies; larger ones are
// left to net/http. What browsers send is a kilobyte, with large cookies more.
const maxRequest = 8 << 10

var buffers = sync.Pool{New: func() any {
	return &buffer{reader: bufio.NewReaderSize(nil, maxRequest)}
}}

// release gives the buffer back for other connections.
func (b *buffer) release() {
	b.request = nil
	buffers.Put(b)
}

// blank returns how many of the first bytes are CR or LF, limit at most.
func (b *buffer) blank(limit int) int {
	n := 0
	for n < min(limit, b.peeked) && (b.head[n] == '\r' || b.head[n] == '\n') {
		n++
	}
	return n
}

// As net/http has it, the first bytes of a further request are not looked at before there are
// four, and of those that follow a POST up to four are left out that are CR or LF: old clients
// sent some.
const (
	nextFew  = 3
	maxBlank = 4
)
