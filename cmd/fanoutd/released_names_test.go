package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/ops"
)

var updateNames = flag.Bool("update-names", false, "write testdata/names.txt anew")

const namesFile = "testdata/names.txt"

// TestReleasedNames: settings, metrics with their labels, and reasons of errors stay as docs/versioning.md promises. Each is in
// testdata/names.txt with the version that it came with, which `make generate` adds. Of what came with an earlier
// version than CHANGELOG.md begins with none goes, but if an earlier minor version lists it as deprecated.
func TestReleasedNames(t *testing.T) {
	log, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(namesFile)
	if err != nil && !*updateNames {
		t.Fatal(err)
	}
	renewed, wrong := keepNames(string(kept), string(log), currentNames())
	for _, w := range wrong {
		t.Error(w)
	}
	if *updateNames && !t.Failed() {
		if err := os.WriteFile(namesFile, []byte(renewed), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(kept, []byte(renewed)) && !t.Failed() {
		t.Errorf("%s does not have what there is: run make generate, and commit the result", namesFile)
	}
}

// currentNames are those of this build.
func currentNames() []string {
	var all []string
	for _, s := range newSettings(&config{}).All() {
		all = append(all, "setting "+s.Name)
	}
	for _, f := range ops.Families() {
		for _, m := range f.Metrics {
			all = append(all, fmt.Sprintf("metric %s{%s}", m.Name, strings.Join(m.Labels, ",")))
		}
	}
	for _, r := range control.Reasons() {
		all = append(all, fmt.Sprintf("reason %s(%s)", r.Name, codeName(r.Code)))
	}
	return all
}

// keepNames returns what the file of names is to be, if it is that and there are these names now, and what may not be.
func keepNames(kept, changelog string, now []string) (renewed string, wrong []string) {
	sections := changelogSections(changelog)
	this := sections[0].version
	since := map[string]string{} // from when each is
	for line := range strings.Lines(kept) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " since "); ok {
			since[name] = version
		}
	}
	for name, version := range since {
		if !slices.Contains(now, name) {
			if version != this && !deprecated(sections, name) {
				wrong = append(wrong, fmt.Sprintf("%s is gone, or another: it came with %s, and no earlier minor version than %s lists it as deprecated", name, version, this))
			}
			delete(since, name)
		}
	}
	for _, name := range now {
		if since[name] == "" {
			since[name] = this
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(since)) {
		fmt.Fprintf(&b, "%s since %s\n", name, since[name])
	}
	slices.Sort(wrong)
	return b.String(), wrong
}

// section is one version's in CHANGELOG.md.
type section struct {
	version    string
	deprecated string // what stands there under Deprecated
}

var heading = regexp.MustCompile(`(?m)^## (\d+\.\d+\.\d+).*$`)

// changelogSections are all, the topmost first.
func changelogSections(changelog string) []section {
	var all []section
	at := heading.FindAllStringSubmatchIndex(changelog, -1)
	for i, m := range at {
		end := len(changelog)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		_, under, _ := strings.Cut(changelog[m[1]:end], "\n### Deprecated\n")
		under, _, _ = strings.Cut(under, "\n### ")
		all = append(all, section{changelog[m[2]:m[3]], under})
	}
	return all
}

// deprecated reports whether a minor version before the topmost names it.
func deprecated(sections []section, name string) bool {
	_, name, _ = strings.Cut(name, " ")
	name, _, _ = strings.Cut(name, "{")
	name, _, _ = strings.Cut(name, "(")
	return slices.ContainsFunc(sections[1:], func(s section) bool {
		return minor(s.version) < minor(sections[0].version) && strings.Contains(s.deprecated, "`"+name+"`")
	})
}

// minor makes numbers of the versions of one major version, or of two, that order their minor versions.
func minor(version string) int {
	n := 0
	for _, part := range strings.Split(version, ".")[:2] {
		i, _ := strconv.Atoi(part)
		n = n*1000 + i
	}
	return n
}

func TestKeepNames(t *testing.T) {
	const kept = "metric m{a} since 0.1.0\nsetting s since 0.1.0\nsetting t since 0.2.0\n"
	for name, tt := range map[string]struct {
		changelog string
		now       []string
		renewed   string
		wrong     int
	}{
		"as it was":                            {"## 0.2.0\n## 0.1.0\n", []string{"metric m{a}", "setting s", "setting t"}, kept, 0},
		"a new one":                            {"## 0.3.0\n## 0.2.0\n## 0.1.0\n", []string{"metric m{a}", "setting s", "setting t", "setting u"}, kept + "setting u since 0.3.0\n", 0},
		"gone before its release":              {"## 0.2.0\n## 0.1.0\n", []string{"metric m{a}", "setting s"}, "metric m{a} since 0.1.0\nsetting s since 0.1.0\n", 0},
		"gone":                                 {"## 0.2.0\n## 0.1.0\n", []string{"metric m{a}", "setting t"}, "metric m{a} since 0.1.0\nsetting t since 0.2.0\n", 1},
		"another label":                        {"## 0.2.0\n## 0.1.0\n", []string{"metric m{a,b}", "setting s", "setting t"}, "metric m{a,b} since 0.2.0\nsetting s since 0.1.0\nsetting t since 0.2.0\n", 1},
		"deprecated by the version before":     {"## 0.2.0\n## 0.1.0\n\n### Deprecated\n\n- `s`: use `t`.\n", []string{"metric m{a}", "setting t"}, "metric m{a} since 0.1.0\nsetting t since 0.2.0\n", 0},
		"deprecated by this one":               {"## 0.2.0\n\n### Deprecated\n\n- `s`: use `t`.\n\n## 0.1.0\n", []string{"metric m{a}", "setting t"}, "metric m{a} since 0.1.0\nsetting t since 0.2.0\n", 1},
		"deprecated by the one before's patch": {"## 0.2.1\n## 0.2.0\n\n### Deprecated\n\n- `s`: use `t`.\n\n## 0.1.0\n", []string{"metric m{a}", "setting t"}, "metric m{a} since 0.1.0\nsetting t since 0.2.0\n", 1},
		"deprecated elsewhere in a section":    {"## 0.2.0\n## 0.1.0\n\n### Deprecated\n\n- `u`\n\n### Other\n\n`s`\n", []string{"metric m{a}", "setting t"}, "metric m{a} since 0.1.0\nsetting t since 0.2.0\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			renewed, wrong := keepNames(kept, tt.changelog, tt.now)
			if renewed != tt.renewed || len(wrong) != tt.wrong {
				t.Errorf("got %q, wrong %q, want %q and %d wrong", renewed, wrong, tt.renewed, tt.wrong)
			}
		})
	}
}
