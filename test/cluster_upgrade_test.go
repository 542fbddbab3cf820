package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClusterUpgrade replaces the nodes of the release before this version by nodes of this one, and these by nodes of that, one
// after the other, while clients come and emits go to everybody as in TestClusterRollingRestart: nobody misses
// any, whichever versions the cluster is of at the moment. $EARLIER is another binary than that of the release:
// EARLIER=/tmp/fanoutd go test -run ClusterUpgrade -v ./test
func TestClusterUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts processes; run without -short")
	}
	earlier, this := earlierBinary(t), binary(t.Context(), t)
	n := rollingNumber(t)
	t.Run("up", func(t *testing.T) { rollingRestart(t, earlier, this, n, true, "--recovery-window=2m") })
	t.Run("down", func(t *testing.T) { rollingRestart(t, this, earlier, n, true, "--recovery-window=2m") })
}

// earlierBinary is the daemon of the latest release before the commit that is checked out, built from its tag.
func earlierBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("EARLIER"); path != "" {
		return path
	}
	out, err := exec.CommandContext(t.Context(), "git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^").Output()
	if err != nil {
		t.Skip("no release is known that came before this version")
	}
	tag, dir := strings.TrimSpace(string(out)), t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	command(t, "git", "archive", "--output="+archive, tag)
	command(t, "tar", "-xf", archive, "-C", dir)
	path := filepath.Join(dir, "bin", "fanoutd")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/fanoutd")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", tag, err, out)
	}
	t.Log("the earlier version is ", tag)
	return path
}
