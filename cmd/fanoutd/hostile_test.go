package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Headers without end are cut off after little, and others are served meanwhile.
func TestEndlessHeaders(t *testing.T) {
	d := start(t)
	c, err := net.Dial("tcp", d.at["browsers"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	line := "X-Filler: " + strings.Repeat("x", 1000) + "\r\n"
	var answer strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(&answer, c)
	}()
	if _, err := io.WriteString(c, "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n"); err != nil {
		t.Fatal(err)
	}
	sent := 0
	const enough = 64 << 20 // what the kernel buffers is far less
	for ; sent < enough; sent += len(line) {
		if _, err := io.WriteString(c, line); err != nil {
			break
		}
	}
	if sent >= enough {
		t.Errorf("%d bytes of headers were taken", sent)
	}
	<-read
	if s := answer.String(); s != "" && !strings.HasPrefix(s, "HTTP/1.1 431 ") {
		t.Errorf("answered %q", s)
	}
	if status, body := d.get(t, "browsers", "/socket.io/?EIO=4&transport=polling"); status != 200 || !strings.HasPrefix(body, "0{") {
		t.Errorf("another browser got %d %q", status, body)
	}
}
