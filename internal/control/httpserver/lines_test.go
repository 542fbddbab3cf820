package httpserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// frames reads what Connect and gRPC-Web have between messages, as lines: the flags and
// the text.
func frames(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Split(func(data []byte, _ bool) (int, []byte, error) {
		if len(data) < 5 {
			return 0, nil, nil
		}
		n := 5 + int(binary.BigEndian.Uint32(data[1:5]))
		if len(data) < n {
			return 0, nil, nil
		}
		return n, append([]byte{'0' + data[0], ' '}, data[5:n]...), nil
	})
	return s
}

// frame is a message with what Connect has in front of it.
func frame(text string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text)))) + text
}

// forms are those in which many answers may come.
var forms = []struct {
	name        string
	headers     []string
	contentType string
	body        func(string) string
	scan        func(io.Reader) *bufio.Scanner
	message     string // in front of each
	end         string // what comes last, if all went well
	failed      string // in front of the error
}{
	{"lines", nil, "application/x-ndjson", plain, lines, "", "", `{"error":{`},
	{"lines, asked for", []string{"Accept", "application/x-ndjson"}, "application/x-ndjson", plain, lines, "", "", `{"error":{`},
	{"events", []string{"Accept", "text/event-stream"}, "text/event-stream", plain, events, "data: ", "event: end\ndata: {}", "event: error\ndata: {\"error\":{"},
	{"Connect", []string{"Content-Type", "application/connect+json"}, "application/connect+json", frame, frames, "0 ", "2 {}", `2 {"error":{`},
}

func plain(s string) string { return s }

func lines(r io.Reader) *bufio.Scanner { return bufio.NewScanner(r) }

// events are separated by empty lines.
func events(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Split(func(data []byte, _ bool) (int, []byte, error) {
		if i := strings.Index(string(data), "\n\n"); i >= 0 {
			return i + 2, data[:i], nil
		}
		return 0, nil, nil
	})
	return s
}

const ackRequest = `{"emit":{"to":{"all":true},"event":"e"},"timeout":"1s"}`

// Methods of many answers give each as it comes, and say how it ended.
func TestManyAnswers(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			w := serve(t, callers(t), Options{Open: true})
			resp := w.do(w.request(ackPath, form.body(ackRequest), form.headers...))
			if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != form.contentType {
				t.Errorf("got %d, %q", resp.StatusCode, got)
			}
			answers := form.scan(resp.Body)
			want := []string{
				form.message + `{"failed":{"connectionId":"a","reason":"DISCONNECTED"}}`,
				form.message + `{"failed":{"connectionId":"b","reason":"DISCONNECTED"}}`,
				form.message + `{"summary":{"expected":7,"timedOut":5,"disconnected":2}}`,
			}
			if form.end != "" {
				want = append(want, form.end)
			}
			for _, text := range want {
				if !answers.Scan() || answers.Text() != text {
					t.Errorf("got %q, %v, want %q", answers.Text(), answers.Err(), text)
				}
			}
			if answers.Scan() {
				t.Errorf("and then %q", answers.Text())
			}

			// The headers of a Tail come before anything happens, and at the end an error.
			resp = w.do(w.request(tailPath, form.body(`{}`), form.headers...))
			ended := make(chan error, 1)
			go func() { ended <- w.Shutdown(t.Context()) }()
			answers = form.scan(resp.Body)
			if !answers.Scan() || !strings.HasPrefix(answers.Text(), form.failed+`"code":"unavailable"`) {
				t.Errorf("at the end: got %q, %v", answers.Text(), answers.Err())
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// What is wrong before the first answer is an error like any other.
func TestRefusedStreams(t *testing.T) {
	w := serve(t, callers(t, identity.Key{Name: "x", Secret: "xx"}), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // only a stream that begins needs it
	defer cancel()
	for _, tt := range []struct {
		name, key, path, body string
		headers               []string
		status                int
		code                  string
	}{
		{"without a key", "", tailPath, `{}`, nil, 401, "unauthenticated"},
		{"a field at fault", "xx", ackPath, `{}`, nil, 400, "invalid_argument"},
		{"an unknown field", "xx", ackPath, `{"emits":{}}`, nil, 400, "invalid_argument"},
		{"nothing", "xx", tailPath, ``, nil, 400, "invalid_argument"},
		{"too large", "xx", tailPath, strings.Repeat(" ", 1<<20+1), nil, 429, "resource_exhausted"},
		{"no deadline", "xx", tailPath, `{}`, []string{"Connect-Timeout-Ms", "soon"}, 400, "invalid_argument"},
		{"a deadline before now", "xx", tailPath, `{}`, []string{"Connect-Timeout-Ms", "-1"}, 400, "invalid_argument"},
		{"a deadline of too many digits", "xx", tailPath, `{}`, []string{"Connect-Timeout-Ms", "12345678901"}, 400, "invalid_argument"},
		{"compressed", "xx", tailPath, `{}`, []string{"Content-Encoding", "gzip"}, 415, "invalid_argument"},
	} {
		for _, accept := range []string{"application/json", "text/event-stream"} {
			headers := append([]string{"Accept", accept}, tt.headers...)
			if tt.key != "" {
				headers = append(headers, "Authorization", "Bearer "+tt.key)
			}
			resp := w.do(w.request(tt.path, tt.body, headers...).WithContext(ctx))
			if resp.StatusCode != tt.status {
				t.Errorf("%s: got %d, want %d", tt.name, resp.StatusCode, tt.status)
				continue
			}
			if text := readAll(t, resp); parseError(t, text).Code != tt.code {
				t.Errorf("%s: got %s, want %s", tt.name, text, tt.code)
			}
		}
	}
}

// A caller's deadline is a stream's, too.
func TestDeadlineOfStream(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			w := serve(t, callers(t), Options{Open: true})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // only a server that takes no notice needs it
			defer cancel()
			headers := append([]string{"Connect-Timeout-Ms", "50"}, form.headers...)
			answers := form.scan(w.do(w.request(tailPath, form.body(`{}`), headers...).WithContext(ctx)).Body)
			if !answers.Scan() || !strings.HasPrefix(answers.Text(), form.failed+`"code":"deadline_exceeded"`) {
				t.Errorf("got %q, %v", answers.Text(), answers.Err())
			}
			if answers.Scan() {
				t.Errorf("and then %q", answers.Text())
			}
		})
	}
}

// A stream ends when its key does; those of other keys go on.
func TestStreamsEndWithTheirKey(t *testing.T) {
	old, next := identity.Key{Name: "shop", Secret: "old"}, identity.Key{Name: "shop", Secret: "next"}
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			a := callers(t, old, next)
			w := serve(t, a, Options{})
			var answers []*bufio.Scanner
			for _, key := range []string{"old", "next"} {
				headers := append([]string{"Authorization", "Bearer " + key}, form.headers...)
				answers = append(answers, form.scan(w.do(w.request(tailPath, form.body(`{}`), headers...)).Body))
			}
			if _, err := a.Replace([]identity.Key{next}); err != nil {
				t.Fatal(err)
			}
			if !answers[0].Scan() || !strings.HasPrefix(answers[0].Text(), form.failed+`"code":"unauthenticated"`) || !strings.Contains(answers[0].Text(), "KEY_ENDED") {
				t.Errorf("with the old key: got %q, %v", answers[0].Text(), answers[0].Err())
			}
			go w.Shutdown(context.Background())
			if !answers[1].Scan() || !strings.HasPrefix(answers[1].Text(), form.failed+`"code":"unavailable"`) {
				t.Errorf("with the other: got %q, %v", answers[1].Text(), answers[1].Err())
			}
		})
	}
}

// A client that goes ends its call.
func TestClientGoes(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			w := serve(t, callers(t), Options{Open: true})
			ctx, cancel := context.WithCancel(t.Context())
			w.do(w.request(tailPath, form.body(`{}`), form.headers...).WithContext(ctx))
			cancel()
			for start := time.Now(); ; time.Sleep(time.Millisecond) { // the server sees it when it sees it
				var codes map[string]uint64
				for _, m := range w.calls.Calls() {
					codes = m.Codes
				}
				if codes["Canceled"] == 1 {
					break
				}
				if time.Since(start) > time.Minute {
					t.Fatalf("the call has not ended: %v", codes)
				}
			}
		})
	}
}

// An answer that cannot be sent whole is not mistaken for one that is.
func TestBroken(t *testing.T) {
	l := &linesWire{w: brokenWriter{}}
	if err := l.send(nil); err == nil {
		t.Error("it was sent")
	}
}

type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Header() http.Header       { return http.Header{} }
func (brokenWriter) WriteHeader(int)           {}
func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
func (brokenWriter) FlushError() error         { return io.ErrClosedPipe }
