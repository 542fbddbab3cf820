package test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestDist: what `make dist` builds has the daemon, of this version and with the client in
// it, needs nothing of the system it runs on, has checksums that are right, and is the same
// once more. It is built for this machine's platform; $DIST_PLATFORMS are others:
// DIST_PLATFORMS="linux/amd64 darwin/arm64" go test -run Dist ./test
func TestDist(t *testing.T) {
	if testing.Short() {
		t.Skip("builds archives; run without -short")
	}
	native := runtime.GOOS + "/" + runtime.GOARCH
	platforms := strings.Fields(os.Getenv("DIST_PLATFORMS"))
	if len(platforms) == 0 {
		platforms = []string{native}
	}
	for _, program := range []string{"make", "tar", "sha256sum"} {
		needProgram(t, program)
	}
	version := strings.TrimPrefix(strings.TrimSpace(command(t, "git", "describe", "--tags", "--always", "--dirty")), "v")
	dir := filepath.Join(t.TempDir(), "dist")
	command(t, "make", "dist", "DIST="+dir, "PLATFORMS="+strings.Join(platforms, " "))
	sums := checksums(t, dir)
	if len(sums) != len(platforms) {
		t.Errorf("there are checksums of %v, want one for each of %q", sums, platforms)
	}
	for _, platform := range platforms {
		system, machine, _ := strings.Cut(platform, "/")
		name := strings.Join([]string{"fanoutd", version, system, machine}, "-")
		if sums[name+".tar.gz"] == "" {
			t.Fatalf("there are %v, and nothing called %s", sums, name)
		}
		files := unpack(t, filepath.Join(dir, name+".tar.gz"))
		program := files[name+"/fanoutd"]
		for from, to := range distributed(t, system) {
			want, err := os.ReadFile(filepath.Join("..", from))
			if err != nil || !bytes.Equal(files[name+"/"+to], want) {
				t.Errorf("%s is not the %s of %s: %v", from, to, name, err)
			}
		}
		checkProgram(t, program, system, machine)
		if platform == native {
			path := filepath.Join(t.TempDir(), "fanoutd")
			if err := os.WriteFile(path, program, 0o700); err != nil { //nolint:gosec // it is executed
				t.Fatal(err)
			}
			if says := command(t, path, "version"); !strings.HasPrefix(says, "fanoutd "+version+" ") {
				t.Errorf("the program says %q, want version %s", says, version)
			}
		}
	}
	again := filepath.Join(t.TempDir(), "dist")
	command(t, "make", "dist", "DIST="+again, "PLATFORMS="+platforms[0])
	for name, sum := range checksums(t, again) {
		if sum != sums[name] {
			t.Errorf("%s is not the same when it is built once more", name)
		}
	}
}

// command runs a program at the daemon's root, and returns what it prints.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// checksums are those of SHA256SUMS, by file, each of which is right.
func checksums(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := os.Open(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	sums := map[string]string{}
	for lines := bufio.NewScanner(list); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if is := sha256.Sum256(text); hex.EncodeToString(is[:]) != sum {
			t.Errorf("the checksum of %s is %x, and not %s", name, is, sum)
		}
		sums[name] = sum
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(sums)+1 {
		t.Errorf("%s has %d files, and %d checksums: %v", dir, len(entries), len(sums), err)
	}
	return sums
}

// unpack returns the files of an archive, which belong to root and may be read by all.
func unpack(t *testing.T, path string) map[string][]byte {
	t.Helper()
	return unpackEach(t, path, func(h *tar.Header) {
		want := int64(0o644)
		if h.Typeflag == tar.TypeDir || strings.HasSuffix(h.Name, "/fanoutd") {
			want = 0o755
		}
		if h.Uid != 0 || h.Gid != 0 || h.Mode != want {
			t.Errorf("%s belongs to %d:%d with mode %o, want 0:0 and %o", h.Name, h.Uid, h.Gid, h.Mode, want)
		}
	})
}

// unpackNpm returns the files of an npm package.
func unpackNpm(t *testing.T, path string) map[string][]byte {
	t.Helper()
	return unpackEach(t, path, func(*tar.Header) {})
}

// unpackEach returns the files of an archive, whose headers check sees.
func unpackEach(t *testing.T, path string, check func(*tar.Header)) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = text
		check(h)
	}
}

// distributed are the files beside the program, by where they are here.
func distributed(t *testing.T, system string) map[string]string {
	t.Helper()
	files := map[string]string{"LICENSE": "LICENSE", "CHANGELOG.md": "CHANGELOG.md"}
	if system != "linux" {
		return files
	}
	units, err := os.ReadDir("../deploy/systemd")
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range units {
		files["deploy/systemd/"+unit.Name()] = "systemd/" + unit.Name()
	}
	return files
}

// checkProgram checks a daemon for some platform.
func checkProgram(t *testing.T, program []byte, system, machine string) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	for key, want := range map[string]string{"CGO_ENABLED": "0", "GOOS": system, "GOARCH": machine, "-trimpath": "true"} {
		if settings[key] != want {
			t.Errorf("it is built with %s=%s, want %s", key, settings[key], want)
		}
	}
	switch system {
	case "linux":
		err = isStatic(program)
	case "darwin": // where every program calls the system's library
		_, err = macho.NewFile(bytes.NewReader(program))
	}
	if err != nil {
		t.Error(err)
	}
	client, err := os.ReadFile("../web/dist/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(program, client) {
		t.Error("the client for browsers is not in it")
	}
}

// isStatic fails for a program of Linux that needs a loader or a library.
func isStatic(program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		return fmt.Errorf("it needs the libraries %q: %w", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it needs a loader")
		}
	}
	return nil
}
