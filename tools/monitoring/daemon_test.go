package monitoring

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// codes are the values of the label code, as gRPC for Go names them.
var codes = map[string]bool{
	"OK": true, "Canceled": true, "Unknown": true, "InvalidArgument": true, "DeadlineExceeded": true, "NotFound": true,
	"AlreadyExists": true, "PermissionDenied": true, "ResourceExhausted": true, "FailedPrecondition": true, "Aborted": true,
	"OutOfRange": true, "Unimplemented": true, "Internal": true, "Unavailable": true, "DataLoss": true, "Unauthenticated": true,
}

// scraped are the values of labels on the page of a daemon to which nothing has happened yet,
// by "metric label".
var scraped = sync.OnceValues(func() (map[string]map[string]bool, error) {
	dir, err := os.MkdirTemp("", "monitoring")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "fanoutd")
	build := exec.Command("go", "build", "-o", binary, "./cmd/fanoutd")
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	daemon := exec.Command(binary, "--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--log-format=json", "--recovery-window=1m",
		"--webhook-url=http://127.0.0.1:9/nobody")
	daemon.Dir = dir // no settings file of anybody's lies there
	log, err := daemon.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := daemon.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = daemon.Process.Signal(syscall.SIGTERM) // an error means that it has ended
		_, _ = io.Copy(io.Discard, log)
		_ = daemon.Wait()
	}()
	operators := ""
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var line struct{ Msg, Who, Address string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, err
		}
		if line.Who == "operators" {
			operators = line.Address
		}
		if line.Msg == "ready" {
			return scrape("http://" + operators + "/metrics")
		}
	}
	return nil, errors.New("the daemon is not ready")
})

func scrape(url string) (map[string]map[string]bool, error) {
	res, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return nil, err
	}
	all := map[string]map[string]bool{}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				key := name + " " + l.GetName()
				if all[key] == nil {
					all[key] = map[string]bool{}
				}
				all[key][l.GetValue()] = true
			}
		}
	}
	return all, nil
}
