package engineio

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"
)

// wtStream is the one bidirectional stream of a WebTransport session that
// carries packets, and the end of that session.
type wtStream interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// Close ends what is written; what was is still delivered.
	Close() error
	// closeSession ends the WebTransport session, without waiting.
	closeSession()
}

// wtConn is one WebTransport stream: a session's link, or the candidate to
// become it.
type wtConn struct {
	session *Session
	stream  wtStream
	reads   *wrappedReader
	reader  *bufio.Reader // of reads
	written chan struct{} // closed when the last was written
	closed  chan struct{} // closed when the reader has ended and the stream is closed
	once    sync.Once
}

// lingerWait is how long a peer may take to end its side after we ended ours:
// hanging up at once would drop what is still on its way.
const lingerWait = 300 * time.Millisecond

// maxChunk bounds, in bytes, what is copied for one write.
const maxChunk = 64 << 10

// wrappedReader reads through a function, which must call its argument once, while
// it has one.
type wrappedReader struct {
	io.Reader
	wrap func(read func())
}

// Read implements io.Reader.
func (r *wrappedReader) Read(b []byte) (n int, err error) {
	if r.wrap == nil {
		return r.Reader.Read(b)
	}
	r.wrap(func() { n, err = r.Reader.Read(b) })
	return n, err
}

func newWTConn(s *Session, stream wtStream, reads *wrappedReader, r *bufio.Reader) *wtConn {
	return &wtConn{session: s, stream: stream, reads: reads, reader: r, written: make(chan struct{}), closed: make(chan struct{})}
}

// open makes the stream that opened a session its link.
func (t *wtConn) open() {
	if !t.session.openLink(t) {
		t.abort()
		return
	}
	go func() {
		defer t.session.srv.running.Done()
		t.read()
	}()
}

// probe speaks the upgrade with the browser, and then reads for as long as the
// stream carries the session.
func (t *wtConn) probe(input *candidateInput) {
	s := t.session
	deadline := time.Now().Add(s.srv.opts.UpgradeTimeout)
	t.stream.SetReadDeadline(deadline)
	t.stream.SetWriteDeadline(deadline)
	t.reads.wrap = func(read func()) {
		input.idle()
		read()
		input.received()
	}
	taken := s.negotiate(t)
	t.reads.wrap = nil
	if !taken {
		s.removeCandidate()
	}
	input.decide()
	if !taken {
		t.end()
		return
	}
	t.read()
}

func (t *wtConn) next() (inbound, error) {
	p, err := readStreamFrame(t.reader, t.session.srv.opts.MaxPayload)
	if err == nil {
		t.session.countReceived(transportWebTransport, p)
	}
	return p, err
}

func (t *wtConn) answerProbe() error {
	t.session.countSent(transportWebTransport, []*Message{probeAnswer})
	_, err := t.stream.Write(appendStreamFrame(nil, probeAnswer))
	return err
}

// ready lifts the bounds of time that hold for a candidate.
func (t *wtConn) ready() {
	t.stream.SetReadDeadline(time.Time{})
	t.stream.SetWriteDeadline(time.Time{})
}

// wake starts a goroutine that writes, which ends when nothing waits.
func (t *wtConn) wake() { t.session.srv.start(t.write) }

// crowded does nothing: the goroutine waits for this browser alone, and no emitter does.
func (t *wtConn) crowded() {}

func (t *wtConn) write() {
	var spare []*Message
	var chunk []byte
	for {
		msgs, last := t.session.out.take(t, spare)
		if len(msgs) == 0 {
			if last {
				t.stream.Close()
				close(t.written)
				t.stream.SetReadDeadline(time.Now().Add(lingerWait))
			}
			return
		}
		t.session.countSent(transportWebTransport, msgs)
		for i, m := range msgs {
			chunk = appendStreamFrame(chunk, m)
			if i < len(msgs)-1 && len(chunk) < maxChunk {
				continue
			}
			if _, err := t.stream.Write(chunk); err != nil {
				// It stays the outbox's busy writer: nothing is written any more.
				t.session.Close(ReasonTransportError)
				close(t.written)
				t.abort()
				return
			}
			chunk = chunk[:0]
		}
		spare = recycle(msgs)
	}
}

// read reads until the stream ends, which it then closes.
func (t *wtConn) read() {
	defer t.end()
	s := t.session
	late := 0 // bytes that came after the end
	for {
		p, err := readStreamFrame(t.reader, s.srv.opts.MaxPayload)
		if err != nil {
			switch {
			case malformed(err):
				s.CloseWith(ReasonParseError, err.Error())
			case errors.Is(err, io.EOF):
				s.Close(ReasonTransportClose)
			default:
				s.Close(ReasonTransportError)
			}
			<-t.written // the teardown bounds it
			return
		}
		s.in.Lock()
		if !s.handle(transportWebTransport, p) {
			late += len(p.data) + 1
		}
		s.in.Unlock()
		if late > maxLate {
			t.abort()
		}
	}
}

func (t *wtConn) transport() string { return transportWebTransport }

func (t *wtConn) lastMessageLocked(*Message) *Message { return closePacket }

func (t *wtConn) expire(d time.Duration) {
	t.stream.SetReadDeadline(time.Now().Add(d))
	t.stream.SetWriteDeadline(time.Now().Add(d))
	select {
	case <-t.written: // before: then what remains is to linger
		t.stream.SetReadDeadline(time.Now().Add(lingerWait))
	default:
	}
}

func (t *wtConn) ensureReader() {} // its reader never rests

func (t *wtConn) abort() { t.stream.closeSession() }

func (t *wtConn) gone() <-chan struct{} { return t.closed }

// end marks the stream as gone, once.
func (t *wtConn) end() {
	t.once.Do(func() {
		t.stream.closeSession()
		close(t.closed)
	})
}
