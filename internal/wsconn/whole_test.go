package wsconn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// chunks is a connection that brings so many bytes a read, and then err.
type chunks struct {
	net.Conn
	data []byte
	size int
	err  error
}

func (c *chunks) Read(b []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, c.err
	}
	n := copy(b[:min(len(b), c.size)], c.data)
	c.data = c.data[n:]
	return n, nil
}

// recorded are the frames that answer the peer.
type recorded struct{ frames []byte }

func (r *recorded) Answer(frame []byte) { r.frames = append(r.frames, frame...) }

// readings returns all that is read of data that comes so many bytes a time and ends with
// err: messages, frames that answer them, and the end. Alone has gorilla read it alone.
func readings(u *Upgrader, data []byte, size int, end error, alone bool) string {
	c := &Conn{upgrader: u, conn: &chunks{data: data, size: size, err: end}}
	var answers recorded
	c.HandleControl(&answers)
	c.Acquire()
	c.deflate = alone
	var b strings.Builder
	for {
		opcode, data, err := c.ReadMessage()
		if err != nil {
			fmt.Fprintf(&b, "%v %d; %q", err, CloseStatus(err), answers.frames)
			return b.String()
		}
		fmt.Fprintf(&b, "%d %q, ", opcode, data)
	}
}

// frame is one of a client's.
func frame(first byte, key string, payload []byte) []byte {
	b := AppendHeader(nil, first&0xf, len(payload))
	b[0], b[1] = first, b[1]|maskBit
	b = append(b, key...)
	for i, p := range payload {
		b = append(b, p^key[i%4])
	}
	return b
}

// manyFrames are frames of all kinds, with what each of them ends.
func manyFrames() map[string][]byte {
	text := func(n int) []byte {
		return frame(final|OpText, "\x01\x02\x03\x80", bytes.Repeat([]byte("abcdefg"), n/7+1)[:n])
	}
	all := map[string][]byte{
		"nothing":                   nil,
		"empty":                     text(0),
		"many":                      bytes.Repeat(text(118), 50),
		"binary":                    frame(final|OpBinary, "\xff\x00\x10\x7f", []byte{0, 1, 2, 255}),
		"fragments":                 append(append(frame(OpText, "abcd", []byte("one")), frame(final, "efgh", []byte("two"))...), text(3)...),
		"ping between":              append(append(text(5), frame(final|0x9, "abcd", []byte("hello"))...), text(6)...),
		"ping within":               append(append(append(frame(OpText, "abcd", []byte("one")), frame(final|0x9, "abcd", []byte("?"))...), frame(final, "efgh", []byte("two"))...), text(3)...),
		"text within":               append(frame(OpText, "abcd", []byte("one")), text(3)...),
		"close":                     append(append(text(5), frame(final|OpClose, "abcd", []byte("\x03\xe9bye"))...), text(6)...),
		"not masked":                append(text(5), 0x81, 1, 'x'),
		"compressed, though nobody": append(text(5), frame(final|compressed|OpText, "abcd", []byte("x"))...),
		"reserved bit":              append(text(5), frame(final|0x20|OpText, "abcd", []byte("x"))...),
		"cut in the payload":        append(text(5), text(100)[:50]...),
		"cut in the header":         append(text(5), text(200)[:3]...),
		"length in two bytes":       append(text(5), 0x81, 0xfe, 0, 2, 0, 0, 0, 0, 'h', 'i'),
		"length in eight bytes":     append(text(5), 0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 'h', 'i'),
		"length beyond any":         append(text(5), 0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 'h', 'i'),
	}
	for n := range 20 {
		all[fmt.Sprint(n, " bytes")] = append(text(n), text(n)...)
	}
	for _, n := range []int{125, 126, 127, 500, largeBuffer - 8, largeBuffer, maxTest - 1, maxTest, maxTest + 1, 1 << 16} {
		all[fmt.Sprint(n, " bytes")] = append(text(n), text(3)...)
	}
	return all
}

// maxTest is the limit of messages in these tests.
const maxTest = 5000

// What is read is the same as by gorilla alone: messages, answers to control frames and the end, in
// whatever pieces it comes.
func TestWhole(t *testing.T) {
	u := NewUpgrader(Options{MaxMessage: maxTest})
	for name, data := range manyFrames() {
		for _, size := range []int{1, 3, 100, largeBuffer} {
			for _, end := range []error{io.EOF, errors.New("reset")} {
				if got, want := readings(u, data, size, end, false), readings(u, data, size, end, true); got != want {
					t.Errorf("%s, %d bytes a read, then %v: got %.300s, want %.300s", name, size, end, got, want)
				}
			}
		}
	}
}

func FuzzWhole(f *testing.F) {
	for _, data := range manyFrames() {
		f.Add(data, uint8(7))
	}
	u := NewUpgrader(Options{MaxMessage: maxTest})
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		if got, want := readings(u, data, int(size)+1, io.EOF, false), readings(u, data, int(size)+1, io.EOF, true); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// Messages that lie there together are one read, and their data is all that is allocated.
func TestReadsTogether(t *testing.T) {
	const messages = 30
	all := bytes.Repeat(frame(final|OpText, "abcd", bytes.Repeat([]byte("x"), 120)), messages)
	addr := serve(t, Options{MaxMessage: 1000}, nil, func(c *Conn) {
		defer c.Close()
		c.Release()
		c.Acquire()
		c.ReadMessage()
		n := testing.AllocsPerRun(messages-2, func() { c.ReadMessage() }) // which has one run more
		fmt.Fprint(c.NetConn(), n, " allocations, ", c.Buffered(), " bytes left")
	})
	_, r, c := dial(t, addr, "", nil)
	c.SetDeadline(time.Now().Add(time.Minute))
	c.Write(all)
	if got, err := io.ReadAll(r); err != nil || string(got) != "1 allocations, 0 bytes left" {
		t.Errorf("got %s, %v", got, err)
	}
}

// endless brings the same again and again, as much as there is room for.
type endless struct {
	net.Conn
	data []byte
	at   int
}

func (e *endless) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		copied := copy(b[n:], e.data[e.at:])
		n, e.at = n+copied, (e.at+copied)%len(e.data)
	}
	return n, nil
}

func BenchmarkReadMessage(b *testing.B) {
	c := &Conn{
		upgrader: NewUpgrader(Options{MaxMessage: maxTest}),
		conn:     &endless{data: frame(final|OpText, "abcd", bytes.Repeat([]byte("x"), 120))},
	}
	c.Acquire()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.ReadMessage(); err != nil {
			b.Fatal(err)
		}
	}
}
