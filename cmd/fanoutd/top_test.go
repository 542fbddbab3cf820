package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// speaks has b send so many events, and waits for none.
func (b browser) speaks(t *testing.T, events int) {
	t.Helper()
	for range events {
		if err := b.WriteMessage(1, []byte(`42["hello"]`)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTop(t *testing.T) {
	d := start(t)
	b := connect(t, d.at["browsers"])
	d.consume(t, &fanoutv1.ConsumeRequest_Open{Group: "chat", ConsumerId: "a"}) // which settles nothing
	x := inTerminal(t, 30, 120, "top", "--interval=100ms", "--address="+d.at["backends"])

	x.shows(`^fanoutd dev  \S+  up \d+s  `)
	x.shows(`^connections   1 +websocket 1$`)
	x.shows(`^rooms +0 +nodes +1$`)
	x.shows(`^consumers +1 +in 1 group +dead letters +0$`)
	x.shows(`^GROUP +MEMBERS +WAITING +LAG`)
	x.shows(`^chat +1 `)
	x.shows(`^\S+ \* +alive +1 +\d\.\d\d `)

	// Rates are seen while something happens.
	emitter := fanoutv1.NewEmitterServiceClient(dialControl(t, d.at["backends"]))
	x.await("rates", func(lines []string) bool {
		b.speaks(t, 10)
		if _, err := emitter.Emit(t.Context(), &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "news"}); err != nil {
			t.Fatal(err)
		}
		b.read(t, `42["news"`)
		text := strings.Join(lines, "\n")
		return !strings.Contains(text, "events in     0.0/s") && !strings.Contains(text, "events out    0.0/s") && strings.Contains(text, "µs")
	})
	x.shows(`^chat +1 +[1-9]\d* `) // which wait for the consumer

	x.press("s")
	x.shows(`^ID +USER +NAMESPACE`)
	x.shows(`looked at 1 connection, all there are$`)
	x.shows(`^q leave   s groups and nodes$`)
	x.press("s")
	x.shows(`^chat +1 `)

	// It follows the size, and cuts what does not fit.
	for _, size := range [][2]uint16{{8, 20}, {5, 9}, {40, 200}} {
		x.resize(size[0], size[1])
		x.await("a page of another size", func(lines []string) bool {
			return len(lines) == int(size[0]) && !slices.ContainsFunc(lines, func(l string) bool { return utf8.RuneCountInString(l) > int(size[1]) })
		})
	}
	x.press("q")
	x.left(0)
}

// Whatever ends it, the terminal is as it was.
func TestTopLeaves(t *testing.T) {
	d := start(t)
	for name, end := range map[string]func(x *terminal){
		"q":         func(x *terminal) { x.press("q") },
		"Escape":    func(x *terminal) { x.press("\x1b") },
		"Ctrl-C":    func(x *terminal) { x.press("\x03") },
		"an arrow":  func(x *terminal) { x.press("\x1b[A\x1bOBxq") }, // which does not
		"SIGTERM":   func(x *terminal) { x.kill(syscall.SIGTERM) },
		"SIGINT":    func(x *terminal) { x.kill(syscall.SIGINT) },
		"at a time": func(x *terminal) { x.press("sssq\x03") },
	} {
		t.Run(name, func(t *testing.T) {
			x := inTerminal(t, 24, 80, "top", "--interval=100ms", "--address="+d.at["backends"])
			x.shows(`^connections +0`)
			end(x)
			x.left(0)
		})
	}
	t.Run("while there is no answer", func(t *testing.T) {
		silent := listenSilently(t)
		x := inTerminal(t, 24, 80, "top", "--interval=100ms", "--address="+silent)
		x.resize(24, 81) // a second page completes the first
		x.shows(`^no answer yet`)
		x.press("q")
		x.left(0)
	})
}

// A daemon that ends and comes back is seen to.
func TestTopGoesOn(t *testing.T) {
	d := start(t)
	x := inTerminal(t, 24, 80, "top", "--interval=100ms", "--address="+d.at["backends"])
	x.shows(`^connections +0`)
	d.stop()
	d.wait(t)
	x.shows(`^no daemon answers at 127\.0\.0\.1:`)
	x.shows(`^connections +0`) // as it was
	start(t, "--control-listen="+d.at["backends"])
	x.lacks("no daemon answers")
	x.press("q")
	x.left(0)
}

// Names that come from elsewhere move no cursor: here that of a user, whose browser does not
// poll, so that something waits for it.
func TestTopIsClean(t *testing.T) {
	d := start(t)
	evil := "evil\x1b[2J\u009b31m\u202e日"
	url := "http://" + d.at["browsers"] + "/socket.io/?EIO=4&transport=polling"
	poll := func(url, packet string) string {
		method := http.MethodGet
		if packet != "" {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(packet))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", resp.Status, text, err)
		}
		return string(text)
	}
	var handshake struct{ Sid string }
	if err := json.Unmarshal([]byte(poll(url, "")[1:]), &handshake); err != nil {
		t.Fatal(err)
	}
	url += "&sid=" + handshake.Sid
	poll(url, "40")
	if text := poll(url, ""); !strings.HasPrefix(text, "40{") {
		t.Fatalf("got %q", text)
	}
	conn := dialControl(t, d.at["backends"])
	all := &fanoutv1.Target{All: true}
	if _, err := fanoutv1.NewRegistryServiceClient(conn).UpdateConnections(t.Context(), &fanoutv1.UpdateConnectionsRequest{To: all, UserId: &evil}); err != nil {
		t.Fatal(err)
	}
	if _, err := fanoutv1.NewEmitterServiceClient(conn).Emit(t.Context(), &fanoutv1.EmitRequest{To: all, Event: "news"}); err != nil {
		t.Fatal(err)
	}
	x := inTerminal(t, 24, 200, "top", "--slow", "--interval=100ms", "--address="+d.at["backends"])
	x.shows(`^\S{20} +evil\\u001b\[2J\\u009b31m\\u202e日 +/ +polling +\S+ +127\.0\.0\.1:\d+ +\d+s +\d+ B +0$`)
	if strings.ContainsAny(x.all(), "\u009b\u202e") || strings.Contains(x.all(), "evil\x1b") {
		t.Errorf("it wrote %q", x.all())
	}
	x.press("q")
	x.left(0)
}

// Where there is no terminal, and where it is asked for, it shows one page and ends.
func TestTopOnce(t *testing.T) {
	d := start(t)
	connect(t, d.at["browsers"])
	top := func(args ...string) (code int, stdout, stderr string) {
		var out, err bytes.Buffer
		code = run(t.Context(), append([]string{"top", "--interval=100ms", "--address=" + d.at["backends"]}, args...), nil, &out, &err)
		return code, out.String(), err.String()
	}
	code, stdout, stderr := top()
	if code != exitOK || !strings.Contains(stdout, "\nconnections   1 ") || !strings.Contains(stdout, "\nevents in     0.0/s") || strings.ContainsAny(stdout, "\x1b\r") {
		t.Errorf("exit code %d, %s\n%s", code, stderr, stdout)
	}
	if code, stdout, _ = top("--slow"); code != exitOK || !strings.Contains(stdout, "looked at 1 connection, all there are\n") {
		t.Errorf("slow connections: exit code %d\n%s", code, stdout)
	}
	code, stdout, stderr = top("--json", "--slow")
	var object struct {
		Connections int            `json:"connections"`
		Sessions    map[string]int `json:"sessions"`
		EventsIn    *float64       `json:"eventsInPerSecond"`
		Nodes       []struct {
			State    string         `json:"state"`
			Activity map[string]any `json:"activity"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(stdout), &object); err != nil || code != exitOK || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("exit code %d, %v, %s\n%s", code, err, stderr, stdout)
	}
	if object.Connections != 1 || object.Sessions["websocket"] != 1 || object.EventsIn == nil || len(object.Nodes) != 1 || object.Nodes[0].State != "ALIVE" || object.Nodes[0].Activity == nil {
		t.Errorf("JSON: %s", stdout)
	}
	if code, _, stderr = top("--interval=1ms"); code != exitSettings || !strings.Contains(stderr, "--interval 1ms") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	d.stop()
	d.wait(t)
	if code, stdout, stderr = top("--once"); code != exitFailed || stdout != "" || !strings.Contains(stderr, "no daemon answers") {
		t.Errorf("without a daemon: exit code %d, %s\n%s", code, stderr, stdout)
	}
}
