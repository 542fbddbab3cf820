package deploy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// root is the source of the daemon.
const root = "../.."

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A Dockerfile that BuildKit parses without a warning, whose image runs as nobody, starts
// the daemon and says whether it is healthy. Nothing is built: no engine runs here.
func TestDockerfile(t *testing.T) {
	parsed, err := parser.Parse(bytes.NewReader(read(t, "deploy/docker/Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("line %v: %s", w.Location, w.Short)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	last := stages[len(stages)-1]
	var user, entry, health []string
	for _, command := range last.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = []string{c.User}
		case *instructions.EntrypointCommand:
			entry = c.CmdLine
		case *instructions.HealthCheckCommand:
			health = c.Health.Test
		case *instructions.CopyCommand:
			if !slices.ContainsFunc(stages, func(s instructions.Stage) bool { return s.Name == c.From }) {
				t.Errorf("%s: there is no stage %q", c, c.From)
			}
		}
	}
	for _, tt := range []struct {
		name      string
		got, want []string
	}{
		{"USER", user, []string{"65532:65532"}},
		{"ENTRYPOINT", entry, []string{"/fanoutd"}},
		{"HEALTHCHECK", health, []string{"CMD", "/fanoutd", "healthcheck"}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s is %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

// What the image is built of is everything that the daemon is compiled from.
func TestDockerContext(t *testing.T) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(read(t, "deploy/docker/Dockerfile.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignore, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	ignored := func(path string) bool {
		is, err := ignore.MatchesOrParentMatches(path)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	needed := []string{"go.mod", "go.sum", "web/package.json", "web/package-lock.json", "web/build.mjs", "web/demo/index.html", "web/dist/.keep"}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Module,Dir,GoFiles,EmbedFiles", "./cmd/fanoutd")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	base, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			Module              *struct{ Main bool }
			Dir                 string
			GoFiles, EmbedFiles []string
		}
		if err := d.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if pkg.Module == nil || !pkg.Module.Main {
			continue
		}
		dir, err := filepath.Rel(base, pkg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(pkg.GoFiles, pkg.EmbedFiles...) {
			if path := filepath.Join(dir, name); !strings.HasPrefix(path, "web/dist/") { // built by the first stage
				needed = append(needed, path)
			}
		}
	}
	if len(needed) < 100 {
		t.Fatalf("only %d files", len(needed))
	}
	for _, path := range needed {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Error(err)
		}
		if ignored(path) {
			t.Errorf("%s is left out of the build", path)
		}
	}
	for _, path := range []string{".git/HEAD", "deploy/docker/control.key", "web/node_modules/x/index.js", "web/dist/demo.js"} {
		if !ignored(path) {
			t.Errorf("%s is part of the build", path)
		}
	}
}

// A compose file that Docker Compose takes, with the settings of the daemon.
func TestCompose(t *testing.T) {
	path := filepath.Join(root, "deploy/docker/compose.yaml")
	details := types.ConfigDetails{
		WorkingDir:  filepath.Dir(path),
		ConfigFiles: []types.ConfigFile{{Filename: path, Content: read(t, "deploy/docker/compose.yaml")}},
		Environment: types.Mapping{},
	}
	project, err := loader.LoadWithContext(t.Context(), details)
	if err != nil {
		t.Fatal(err)
	}
	service, err := project.GetService("fanoutd")
	if err != nil {
		t.Fatal(err)
	}
	if got := filepath.Join(service.Build.Context, service.Build.Dockerfile); !strings.HasSuffix(got, "/deploy/docker/Dockerfile") {
		t.Errorf("it builds %s", got)
	} else if _, err := os.Stat(got); err != nil {
		t.Error(err)
	}
	env := map[string]string{}
	for name, value := range service.Environment {
		env[name] = *value
	}
	checkConfig(t, env, "/run/secrets/control-key")
}

// checkConfig has the daemon itself check variables of an example. Files that they name,
// and that are only there where it runs, are taken from secrets.
func checkConfig(t *testing.T, env map[string]string, secrets ...string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/fanoutd", "config", "check")
	cmd.Dir = root
	cmd.Env = os.Environ()
	for name, value := range env {
		for i, secret := range secrets {
			if value == secret {
				value = filepath.Join(dir, string(rune('a'+i)))
				if err := os.WriteFile(value, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the daemon refuses %v: %v\n%s", env, err, out)
	}
}
