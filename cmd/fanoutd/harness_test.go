package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// patience bounds every wait of a test for something that is sure to come.
const patience = 30 * time.Second

// logs reads a daemon's JSON log as it is written.
type logs struct {
	lines chan map[string]any
	mu    sync.Mutex
	all   bytes.Buffer
}

// readLogs consumes r to its end.
func readLogs(r io.Reader) *logs {
	l := &logs{lines: make(chan map[string]any, 1000)}
	go func() {
		defer close(l.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			l.mu.Lock()
			l.all.WriteString(s.Text() + "\n")
			l.mu.Unlock()
			var line map[string]any
			if json.Unmarshal(s.Bytes(), &line) == nil {
				l.lines <- line
			}
		}
	}()
	return l
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// await waits until the log has all of text.
func (l *logs) await(t *testing.T, text string) {
	t.Helper()
	for start := time.Now(); !strings.Contains(l.String(), text); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("no %q:\n%s", text, l)
		}
	}
}

// addresses waits until the daemon is ready and returns where it serves whom.
func (l *logs) addresses(t *testing.T) map[string]string {
	t.Helper()
	at := map[string]string{}
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-l.lines:
			if !ok {
				t.Fatalf("the daemon ended:\n%s", l)
			}
			switch line["msg"] {
			case "serving":
				at[line["who"].(string)] = line["address"].(string)
			case "ready":
				return at
			}
		case <-timeout:
			t.Fatalf("the daemon is not ready:\n%s", l)
		}
	}
}

// running is a daemon in this process.
type running struct {
	at   map[string]string
	logs *logs
	stop context.CancelFunc
	code chan int
}

// start runs a daemon on ports of its own choice.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	d := &running{logs: readLogs(r), stop: stop, code: make(chan int, 1)}
	args = append([]string{"serve", "--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0",
		"--log-format=json", "--grace=20s"}, args...)
	go func() {
		d.code <- run(ctx, args, nil, io.Discard, w)
		w.Close()
	}()
	t.Cleanup(func() { stop(); d.wait(t) })
	d.at = d.logs.addresses(t)
	return d
}

// wait returns the exit code.
func (d *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-d.code:
		d.code <- code
		return code
	case <-time.After(patience):
		t.Fatalf("the daemon does not end:\n%s", d.logs)
		return -1
	}
}

func (d *running) get(t *testing.T, who, path string) (int, string) {
	t.Helper()
	return get(t, d.at[who], path)
}

func get(t *testing.T, address, path string) (status int, body string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := c.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func dialControl(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	if !strings.HasPrefix(address, "unix:") {
		address = "passthrough:///" + address
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// browser is a bare Socket.IO client over WebSocket.
type browser struct{ *websocket.Conn }

// connect opens a session and joins the default namespace.
func connect(t *testing.T, address string) browser {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial("ws://"+address+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	t.Cleanup(func() { conn.Close() })
	b := browser{conn}
	b.read(t, "0{")
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		t.Fatal(err)
	}
	b.read(t, `40{"sid":"`)
	return b
}

func (b browser) setDeadline(t *testing.T) {
	t.Helper()
	if err := b.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}

// read reads one message, which starts with prefix.
func (b browser) read(t *testing.T, prefix string) {
	t.Helper()
	b.setDeadline(t)
	_, m, err := b.ReadMessage()
	if err != nil || !strings.HasPrefix(string(m), prefix) {
		t.Fatalf("read %q, %v, want %s…", m, err, prefix)
	}
}

// end reads to the end of the connection and fails on a DISCONNECT packet.
func (b browser) end(t *testing.T) {
	t.Helper()
	b.setDeadline(t)
	for {
		_, m, err := b.ReadMessage()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection does not end")
		}
		if err != nil {
			return
		}
		if strings.HasPrefix(string(m), "41") {
			t.Fatalf("got %s: a stock client would stay away", m)
		}
	}
}
