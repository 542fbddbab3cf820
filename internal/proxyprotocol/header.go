package proxyprotocol

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// Sizes of headers, in bytes.
const (
	signatureLen = 12          // of version 2; no header of version 1 is shorter
	fixedLen     = 16          // of version 2, before the addresses; their length ends it
	maxV2        = 4096        // what go-proxyproto takes; room for a client's certificate
	minV1        = 15          // PROXY UNKNOWN\r\n
	minV1TCP     = 22          // PROXY TCP6 :: :: 1 1\r\n
	maxV1        = 107         // says the specification
	v1           = "PROXY "    // what version 1 begins with
	v1TCP        = "PROXY TCP" // what it begins with if it has addresses
	v1End        = "\r\n"      // its end, and nothing before
)

var (
	signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

	errNone = errors.New("the connection does not begin with a PROXY header")
	errLong = errors.New("the PROXY header is too long")
)

// readHeader reads a header and nothing beyond it. It returns the client's address; nil
// where the proxy speaks for itself, as in its health checks, or does not say; and whether
// the client came to the proxy by TLS.
func readHeader(r io.Reader) (client net.Addr, secure bool, err error) {
	b, err := readExactly(r)
	if err != nil {
		return nil, false, err
	}
	if bytes.HasPrefix(b, signature) && saysNobody(b[signatureLen], b[signatureLen+1]) {
		return nil, false, nil
	}
	h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return nil, false, err
	}
	source, _, ok := h.TCPAddrs()
	if !ok {
		return nil, false, nil
	}
	fields, _ := h.TLVs() // nil if they cannot be read: whom it serves it has said anyhow
	tls, ok := tlvparse.FindSSL(fields)
	return source, ok && tls.ClientSSL(), nil
}

// saysNobody reports whether a header of version 2 names no client, whatever follows. With LOCAL
// the family does not count either (section 2.2); with PROXY, UNSPEC is what UNKNOWN is in
// version 1.
func saysNobody(command, family byte) bool {
	return command == byte(proxyproto.LOCAL) || command == byte(proxyproto.PROXY) && family == byte(proxyproto.UNSPEC)
}

// readExactly returns the bytes of a header.
func readExactly(r io.Reader) ([]byte, error) {
	b := make([]byte, signatureLen, maxV1)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	switch {
	case bytes.Equal(b, signature):
		return readV2(r, b)
	case bytes.HasPrefix(b, []byte(v1)):
		return readV1(r, b)
	}
	return nil, errNone
}

// readMore reads on until there are n bytes.
func readMore(r io.Reader, b []byte, n int) ([]byte, error) {
	begun := len(b)
	b = append(b, make([]byte, n-begun)...)
	_, err := io.ReadFull(r, b[begun:])
	return b, err
}

func readV2(r io.Reader, b []byte) ([]byte, error) {
	b, err := readMore(r, b, fixedLen)
	if err != nil {
		return nil, err
	}
	n := fixedLen + int(binary.BigEndian.Uint16(b[fixedLen-2:]))
	if n > maxV2 {
		return nil, errLong
	}
	return readMore(r, b, n)
}

// readV1 reads as much at once as belongs to every header, and then byte by byte: a line
// has no length.
func readV1(r io.Reader, b []byte) ([]byte, error) {
	least := minV1
	if bytes.HasPrefix(b, []byte(v1TCP)) {
		least = minV1TCP
	}
	b, err := readMore(r, b, least)
	for err == nil && !bytes.HasSuffix(b, []byte(v1End)) {
		if len(b) == maxV1 {
			return nil, errLong
		}
		b, err = readMore(r, b, len(b)+1)
	}
	return b, err
}
