package fastpath

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestPollPanics: a panic ends the connection, and is logged unless it is meant.
func TestPollPanics(t *testing.T) {
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "some")
		if strings.Contains(r.URL.RawQuery, "abort") {
			panic(http.ErrAbortHandler)
		}
		panic("oh")
	})
	for _, sid := range []string{"sid=a", "abort"} {
		c := p.dial()
		io.WriteString(c, strings.Replace(aPoll(), "sid=a", sid, 1))
		c.ends()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if log := p.log.String(); strings.Count(log, "panic=") != 1 || !strings.Contains(log, "panic=oh") {
		t.Errorf("logged %q, want one panic", log)
	}
}

// TestAnswers: what is on the wire is what net/http writes.
func TestAnswers(t *testing.T) {
	large := strings.Repeat("x", 3*maxJoined)
	for name, answer := range map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"pieces": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>")
			fmt.Fprint(w, "more")
		},
		"a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			fmt.Fprint(w, "ab")
			http.NewResponseController(w).Flush()
			fmt.Fprint(w, "cd")
			if n, err := fmt.Fprint(w, "e"); n != 0 || !errors.Is(err, http.ErrContentLength) {
				t.Errorf("wrote %d too many bytes, %v", n, err)
			}
		},
		"large": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(2*len(large)+1))
			fmt.Fprint(w, "1")
			io.WriteString(w, large)
			io.WriteString(w, large)
		},
		"small pieces of a large one": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			for i := 0; i < len(large); i += 1 << 10 {
				io.WriteString(w, large[i:i+1<<10])
			}
		},
		"no content": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := fmt.Fprint(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("a body: %v", err)
			}
		},
		"not modified": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusNotModified)
		},
		"a strange status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) },
		"fields": func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Set-Cookie"] = []string{"a=b", "c=d"}
			h["X-Lines"], h["x-lower"], h["Not A Name"] = []string{" a\r\nb\t"}, []string{"y"}, []string{"z"}
			h["Date"] = []string{"today"}
			h["Content-Type"] = nil
			h["X-None"] = nil
			fmt.Fprint(w, "<html>")
		},
		"encoded": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "<html>")
		},
		"statuses": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			w.WriteHeader(http.StatusOK)
			w.Header().Set("X-Late", "y")
			fmt.Fprint(w, "no")
		},
		"short of its length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			fmt.Fprint(w, "ab")
			http.NewResponseController(w).Flush()
		},
		"the last": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusBadRequest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := servePolls(t, answer)
			bare := &http.Server{Handler: answer, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
			l := listen(t)
			go bare.Serve(l)
			defer bare.Close()
			got, want := converse(t, p.at, []byte(aPoll()+aPoll())), converse(t, l.Addr().String(), []byte(aPoll()+aPoll()))
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Fatalf("answered %.300q\nnot %.300q", got, want)
				}
			}
		})
	}
}

// TestWriteDeadline: who does not take an answer is given up, also when the deadline is set while the answer
// waits; and it is that answer's alone.
func TestWriteDeadline(t *testing.T) {
	for name, late := range map[string]bool{"before": false, "meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			over := make(chan error, 1)
			p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				if !strings.Contains(r.URL.RawQuery, "large") {
					c.SetWriteDeadline(time.Now())
					say(w, r)
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(largeAnswer))
				if late {
					go func() {
						time.Sleep(shortTimeout) // the answer waits, as a rule
						c.SetWriteDeadline(time.Now())
					}()
				} else {
					c.SetWriteDeadline(time.Now().Add(shortTimeout))
				}
				_, err := w.Write(make([]byte, largeAnswer))
				over <- err
			})
			c := p.dial()
			for range 3 {
				c.asks(aPoll())
			}
			io.WriteString(c, strings.Replace(aPoll(), "sid=a", "large", 1))
			if err := <-over; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the answer was given up with %v", err)
			}
			if n, _ := io.Copy(io.Discard, c.r); n >= largeAnswer {
				t.Errorf("read %d bytes", n)
			}
		})
	}
}

// TestReadDeadline: what a handler allows for the reading of its request ends with that.
func TestReadDeadline(t *testing.T) {
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Now())
		say(w, r)
	})
	c := p.dial()
	for range 3 {
		if _, body := c.asks(aPost("4a")); !strings.HasSuffix(body, "4a") {
			t.Errorf("answered %q", body)
		}
	}
	p.served(3, 0)
}
