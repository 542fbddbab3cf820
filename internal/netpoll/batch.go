package netpoll

// MaxBatch bounds the writes of one [Batch].
const MaxBatch = 64

// Batch makes writes to several sockets together: on Linux, where the system has an
// io_uring for us, those to its own sockets in one system call. Anywhere else each write is
// one, made by [Socket.TryWrite] as soon as it is added. It serves one goroutine at a time.
type Batch struct {
	ring   *ringBatch // nil: there is none
	vector Vector     // of writes that the ring does not make
	n      int
	writes [MaxBatch]write
}

// write is one write of a Batch, and its result.
type write struct {
	sent int
	err  error
}

// NewBatch returns an empty Batch. Close it.
func NewBatch() *Batch { return &Batch{ring: newRingBatch()} }

// Add adds a write to s, to which no other of the batch may write, and returns how many of
// bufs it is to write: the first, at least one. No buffer may be empty. What they hold must
// not change before Write returns; bufs itself is the caller's again. The batch must not be
// full.
func (b *Batch) Add(s Socket, bufs [][]byte) (taken int) {
	w := &b.writes[b.n]
	*w = write{}
	b.n++
	if b.ring != nil {
		if taken := b.ring.add(w, s, bufs); taken > 0 {
			return taken
		}
	}
	bufs = bufs[:min(len(bufs), MaxBuffers)]
	w.sent, w.err = s.TryWrite(&b.vector, bufs)
	return len(bufs)
}

// Len returns how many writes were added since Write.
func (b *Batch) Len() int { return b.n }

// Write makes the writes that were added and returns how many they are. Their results are
// there until as many others are added.
func (b *Batch) Write() int {
	if b.ring != nil {
		b.ring.write()
	}
	n := b.n
	b.n = 0
	return n
}

// Result returns what the i-th write came to, as [Socket.TryWrite] says it.
func (b *Batch) Result(i int) (sent int, err error) { return b.writes[i].sent, b.writes[i].err }

// Close gives up what the system lent.
func (b *Batch) Close() {
	if b.ring != nil {
		b.ring.ring.close()
	}
}
