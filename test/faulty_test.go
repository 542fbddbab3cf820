package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
		"ops.Handler(&d.ready, metrics, d.console(metrics, b.version))", "settable(ops.Handler(&d.ready, metrics, d.console(metrics, b.version)))",
	},
}

// faultyProgram is built once for all tests, into a folder that TestMain removes.
var faultyProgram struct {
	sync.Once
	dir string
	err error
}

// faultyBinary returns a faulty daemon of the test's own.
func faultyBinary(t *testing.T) string {
	t.Helper()
	p := &faultyProgram
	p.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "faulty"); p.err == nil {
			p.err = buildFaulty(p.dir)
		}
	})
	if p.err != nil {
		t.Fatalf("building a faulty daemon: %v", p.err)
	}
	path := filepath.Join(t.TempDir(), "fanoutd")
	if err := os.Link(filepath.Join(p.dir, "fanoutd"), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// buildFaulty builds a faulty daemon, dir/fanoutd.
func buildFaulty(dir string) error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
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
			return err
		}
		for i := 0; i < len(edits); i += 2 {
			if strings.Count(string(text), edits[i]) != 1 {
				return fmt.Errorf("%s is not as this test knows it: there is no one %q", source, edits[i])
			}
			text = []byte(strings.Replace(string(text), edits[i], edits[i+1], 1))
		}
		edited := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(edited, text, 0o600); err != nil {
			return err
		}
		overlay.Replace[source] = edited
	}
	text, err := json.Marshal(&overlay)
	if err != nil {
		return err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		return err
	}
	build := exec.Command("go", "build", "-trimpath", "-overlay="+list, "-o", filepath.Join(dir, "fanoutd"), "./cmd/fanoutd")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
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
