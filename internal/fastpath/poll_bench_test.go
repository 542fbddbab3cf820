package fastpath

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Polls, by net/http alone and past it: b.N with their answers, and KiB that 1,000 connections
// hold that wait for an answer, and for a request.
func BenchmarkPoll(b *testing.B) {
	for _, name := range []string{"net/http", "fastpath"} {
		b.Run(name, func(b *testing.B) {
			answer := make(chan bool)
			server := &http.Server{ReadHeaderTimeout: patience, IdleTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.RawQuery, "wait") {
					<-answer
				}
				w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
				w.Header().Set("Content-Length", "1")
				w.Write([]byte("6"))
				http.NewResponseController(w).Flush()
			})}
			l := listen(b)
			if name == "fastpath" {
				front := New(server, Options{PollPath: "/socket.io/", Logger: slog.Default()})
				defer front.Close()
				go front.Serve(l)
			} else {
				defer server.Close()
				go server.Serve(l)
			}
			dial := func() net.Conn {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				return c
			}
			request, buf := []byte(aPoll("User-Agent: Mozilla/5.0\r\nOrigin: http://here\r\nAccept-Encoding: gzip\r\n")), make([]byte, 512)
			b.ReportAllocs()
			c := dial()
			defer c.Close()
			for b.Loop() {
				c.Write(request)
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			const many = 1000
			var conns []net.Conn
			before := held()
			for range many {
				conns = append(conns, dial())
			}
			for _, c := range conns {
				c.Write(bytes.Replace(request, []byte("sid=a"), []byte("wait="), 1))
			}
			time.Sleep(100 * time.Millisecond)
			b.ReportMetric(float64(held()-before)/many/1024, "KiB/waiting")
			close(answer)
			for _, c := range conns {
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
			time.Sleep(100 * time.Millisecond)
			b.ReportMetric(float64(held()-before)/many/1024, "KiB/idle")
			for _, c := range conns {
				c.Close()
			}
		})
	}
}

// held returns the bytes that the heap and the stacks hold.
func held() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
