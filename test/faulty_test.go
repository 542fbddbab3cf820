package test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A faulty daemon is the daemon, but for what testdata/faulty adds to it: panics, and a
// wall clock that a test may set. Go's -overlay puts that into the build in place of, and
// beside, the source; nothing of it is in the daemon that is shipped. The monotonic clock,
// and with it all timers, goes on as on a machine whose clock is set.
//
// The clock is that of the time package, and so of all that the daemon is made of. The
// whole of it is compiled once more, which takes a minute on two cores and is then in the
// build cache.

// faultyEdits are what is replaced in the source, by file below the daemon's root or Go's.
var faultyEdits = map[string][]string{
	"src/time/time.go": {
		"import (\n", "import (\n\t\"sync/atomic\"\n",
		"\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {", "\tsec, nsec, mono := runtimeNow()\n\tsec += wallShift.Load()\n\tif mono == 0 {",
		"// Now returns the current local time.\n", "var wallShift atomic.Int64 // seconds\n\nfunc ShiftWallClock(d Duration) { wallShift.Add(int64(d / Second)) }\n\n",
	},
	"cmd/fanoutd/serve.go": {
		"d.sockets, err = sio.NewServer(sockets)", "sockets.Backend = faultyBackend{sockets.Backend}\n\td.sockets, err = sio.NewServer(sockets)",
		"control.New(d.hub(),", "control.New(faultyHub{d.hub()},",
		"ops.Handler(&d.ready, registry)", "settable(ops.Handler(&d.ready, registry))",
	},
}

// faultyBinary builds a faulty daemon.
func faultyBinary(ctx context.Context, t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{
		filepath.Join(root, "cmd/fanoutd/faults.go"): filepath.Join(root, "test/testdata/faulty/faults.go"),
	}}
	for name, edits := range faultyEdits {
		source := filepath.Join(root, name)
		if strings.HasPrefix(name, "src/") {
			source = filepath.Join(strings.TrimSpace(string(goroot)), name)
		}
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(edits); i += 2 {
			if strings.Count(string(text), edits[i]) != 1 {
				t.Fatalf("%s is not as this test knows it: there is no one %q", source, edits[i])
			}
			text = []byte(strings.Replace(string(text), edits[i], edits[i+1], 1))
		}
		edited := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(edited, text, 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[source] = edited
	}
	text, err := json.Marshal(&overlay)
	if err != nil {
		t.Fatal(err)
	}
	list, path := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "fanoutd")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-overlay="+list, "-o", path, "./cmd/fanoutd")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building a faulty daemon: %v\n%s", err, out)
	}
	return path
}

// setClock sets a faulty daemon's wall clock to so much ahead of what is right, or behind
// it, from what it was off by; the daemon's next answer has to say so.
func setClock(ctx context.Context, t *testing.T, d daemon, from, to time.Duration) {
	t.Helper()
	by := url.Values{"by": {(to - from).String()}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+d.ops+"/clock?"+by.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	says, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the clock cannot be set: %s, %v", res.Status, err)
	}
	if off := time.Until(says) - to; off.Abs() > time.Minute {
		t.Fatalf("the clock is set to %v, which is off by %v", says, off)
	}
}
