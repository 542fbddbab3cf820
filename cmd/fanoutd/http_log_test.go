package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/certfile/certtest"
)

func TestHTTPLog(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	l := newHTTPLog(newLogger(&out, logText, &level))
	for _, line := range []string{
		"http: TLS handshake error from 203.0.113.7:5122: EOF",
		`http2: server: error reading preface from client 203.0.113.7:5122: bogus greeting "x"`,
		"http: Accept error: too many open files; retrying in 5ms",
	} {
		l.Print(line)
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=WARN msg="net/http says" error="http: Accept error: too many open files; retrying in 5ms"`) {
		t.Errorf("at info the log has\n%s", got)
	}
	level.Set(slog.LevelDebug)
	l.Print("http: TLS handshake error from 203.0.113.7:5122: EOF")
	if got := out.String(); !strings.HasSuffix(got, ` level=DEBUG msg="net/http says" error="http: TLS handshake error from 203.0.113.7:5122: EOF"`+"\n") {
		t.Errorf("at debug it ends with\n%s", got)
	}
}

// Whoever reaches a listener with TLS can fail at it as often as it likes.
func TestStrangersToTLS(t *testing.T) {
	cert, key := certtest.New(t, "authority").Issue(t, "server").Write(t, t.TempDir())
	d := start(t, "--tls-cert-file="+cert, "--tls-key-file="+key, "--log-level=debug")
	plain, err := net.Dial("tcp", d.at["browsers"])
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := io.WriteString(plain, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	odd, err := tls.Dial("tcp", d.at["browsers"], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer odd.Close()
	if _, err := io.WriteString(odd, "this is no preface of HTTP/2"); err != nil {
		t.Fatal(err)
	}
	d.logs.await(t, "TLS handshake error from")
	d.logs.await(t, "error reading preface from")
	if log := d.logs.String(); strings.Contains(log, `"level":"WARN"`) {
		t.Errorf("the log has warnings:\n%s", log)
	}
}
