package test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What each documented target of the Makefile would do is something that a shell can
// read: a comma in the text of a $(call …) cuts it there, quotes and all.
func TestMakefile(t *testing.T) {
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`(?m)^([a-z][a-z-]*):.*## `).FindAllSubmatch(text, -1)
	if len(targets) < 10 {
		t.Fatalf("%d documented targets", len(targets))
	}
	for _, target := range targets {
		name := string(target[1])
		t.Run(name, func(t *testing.T) {
			dry := exec.Command("make", "--no-print-directory", "--dry-run", name)
			dry.Dir = ".."
			dry.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
			commands, err := dry.Output()
			if err != nil {
				t.Fatalf("make --dry-run: %v", err)
			}
			check := exec.Command("bash", "-n")
			check.Stdin = strings.NewReader(string(commands))
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("its commands are none: %v\n%s", err, out)
			}
		})
	}
}
