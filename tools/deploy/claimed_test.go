package deploy

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each file of deploy/ is started, read or checked by a test, which names it, or the
// folder that it reads whole.
func TestEveryFileIsChecked(t *testing.T) {
	var tests bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*_test.go", "test/*.mjs")
	cmd.Dir = root
	list, err := cmd.Output()
	if err != nil {
		t.Skipf("not in a git checkout: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // removed, and not committed yet
		}
		tests.Write(text)
	}
	whole := []string{chartDir} // by TestChart
	files := 0
	err = filepath.WalkDir(filepath.Join(root, "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files++
		for _, folder := range whole {
			if strings.HasPrefix(rel, folder+"/") {
				return nil
			}
		}
		if rel != "deploy/docker/control.key" && !bytes.Contains(tests.Bytes(), []byte(rel+`"`)) {
			t.Errorf("no test names %s", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Fatalf("only %d files", files)
	}
}

// A test that skips itself where a program is missing checks nothing unless CI installs that.
func TestCIHasThePrograms(t *testing.T) {
	tests, err := filepath.Glob(filepath.Join(root, "test/*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	ci := read(t, ".ci/run")
	needed := map[string]bool{}
	for _, name := range tests {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`needProgram\(t, "([^"]+)"\)`).FindAllSubmatch(text, -1) {
			needed[string(m[1])] = true
		}
	}
	if len(needed) < 3 {
		t.Fatalf("tests need only %v", needed)
	}
	for program := range needed {
		if !regexp.MustCompile(`[ (]` + regexp.QuoteMeta(program) + `:[a-z]`).Match(ci) {
			t.Errorf("a test needs %s, which .ci/run does not install", program)
		}
	}
}

// The files that go beside the systemd unit are settings that the daemon takes.
func TestSystemdSettings(t *testing.T) {
	config, err := filepath.Abs(filepath.Join(root, "deploy/systemd/fanoutd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"FANOUTD_CONFIG": config}
	for s := bufio.NewScanner(bytes.NewReader(read(t, "deploy/systemd/fanoutd.env"))); s.Scan(); {
		if line := s.Text(); line != "" && !strings.HasPrefix(line, "#") {
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				t.Errorf("%q is no variable", line)
			}
			env[name] = value
		}
	}
	checkConfig(t, env)
}
