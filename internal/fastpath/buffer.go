package fastpath

import (
	"bufio"
	"bytes"
	"sync"
)

// buffer holds the first bytes of one connection while they are parsed.
type buffer struct {
	head   [maxHead]byte
	peeked int           // bytes of head that are filled
	bytes  bytes.Reader  // over them
	reader *bufio.Reader // over bytes, for http.ReadRequest
}

// maxHead bounds, in bytes, the requests that are looked at; larger ones are left
// to net/http. What browsers send is a kilobyte, with large cookies more.
const maxHead = 4 << 10

var buffers = sync.Pool{New: func() any {
	return &buffer{reader: bufio.NewReaderSize(nil, maxHead)}
}}

// release gives the buffer back for other connections.
func (b *buffer) release() { buffers.Put(b) }
