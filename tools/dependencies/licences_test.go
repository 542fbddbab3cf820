package dependencies

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/licensecheck"
)

// allowed are the licences that ask of a binary no more than to name them.
var allowed = []string{"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "MPL-2.0"}

// Every module that the daemon is built of has a licence of these, in full.
func TestLicences(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{with .Module}}{{.Path}} {{.Dir}}{{end}}`, "./cmd/fanoutd")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{} // folders by path
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			modules[path] = dir
		}
	}
	if len(modules) < 10 {
		t.Fatalf("only %d modules", len(modules))
	}
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		licences, err := find(modules[path])
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if len(licences) == 0 {
			t.Errorf("%s has no licence that is known", path)
		}
		for _, id := range licences {
			if !slices.Contains(allowed, id) {
				t.Errorf("%s has the licence %s, which is none of %v", path, id, allowed)
			}
		}
		t.Logf("%s: %s", path, strings.Join(licences, ", "))
	}
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([.-].*)?$`)

// find returns the licences in the files of a module's folder.
func find(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		for _, m := range licensecheck.Scan(text).Match {
			if !m.IsURL {
				ids[m.ID] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(ids)), nil
}
