package test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestRelease: `make release` builds the archives, the npm packages and the Python package
// with one version, which each of them says, with checksums, and names every file in what
// would publish it. The version is a release candidate's, as in the line of docs/nodejs.md for who tries the packages before the first
// release, and as there the npm packages are what ends in .tgz.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds archives and packages; run without -short")
	}
	for _, program := range []string{"make", "tar", "sha256sum", "npm", "python3"} {
		needProgram(t, program)
	}
	const version, pythonVersion = "98.7.6-rc.5", "98.7.6rc5"
	guide, err := os.ReadFile("../docs/nodejs.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nmake release VERSION=0.1.0-rc.1 PLATFORMS=linux/amd64\n"; !strings.Contains(string(guide), want) {
		t.Errorf("docs/nodejs.md has no line %q, which is what is run here", want)
	}
	dir := filepath.Join(t.TempDir(), "dist")
	output := command(t, "make", "release", "VERSION="+version, "DIST="+dir, "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH)
	sums := checksums(t, dir)
	archive := "fanoutd-" + version + "-" + runtime.GOOS + "-" + runtime.GOARCH + ".tar.gz"
	npm := map[string]string{
		"@fanoutd/client": "fanoutd-client-" + version + ".tgz", "@fanoutd/emitter": "fanoutd-emitter-" + version + ".tgz",
		"@fanoutd/socket.io": "fanoutd-socket.io-" + version + ".tgz", "fanoutd": "fanoutd-" + version + ".tgz",
	}
	wheel, sdist := "fanoutd-"+pythonVersion+"-py3-none-any.whl", "fanoutd-"+pythonVersion+".tar.gz"
	want := slices.Sorted(slices.Values(append(slices.Collect(maps.Values(npm)), archive, wheel, sdist)))
	if got := slices.Sorted(maps.Keys(sums)); !slices.Equal(got, want) {
		t.Fatalf("there are %q, want %q", got, want)
	}
	_, publishing, said := strings.Cut(output, "\nNothing was published. What would publish it:\n")
	if !said || !strings.Contains(output, "No release: this commit has no tag v"+version) {
		t.Errorf("it says:\n%s", output)
	}
	for _, name := range append(want, "SHA256SUMS") {
		if !strings.Contains(publishing, name) {
			t.Errorf("%s is nowhere published:\n%s", name, publishing)
		}
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) != len(npm) {
		t.Errorf("what ends in .tgz is %q, want the npm packages alone", packed)
	}
	if strings.Index(publishing, npm["@fanoutd/client"]) > strings.Index(publishing, npm["@fanoutd/socket.io"]) {
		t.Errorf("what depends on @fanoutd/client is published before it:\n%s", publishing)
	}
	licence, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range npm {
		checkNpmPackage(t, unpackNpm(t, filepath.Join(dir, file)), name, version, licence)
	}
	checkWheel(t, filepath.Join(dir, wheel), pythonVersion)
}

func checkNpmPackage(t *testing.T, files map[string][]byte, name, version string, licence []byte) {
	t.Helper()
	var it struct {
		Name, Version string
		Dependencies  map[string]string
		Scripts       map[string]string
	}
	if err := json.Unmarshal(files["package/package.json"], &it); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if it.Name != name || it.Version != version || it.Scripts != nil {
		t.Errorf("%s is %+v, want version %s and no scripts", name, it, version)
	}
	for other, is := range it.Dependencies {
		if strings.HasPrefix(other, "@fanoutd/") && is != version {
			t.Errorf("%s depends on %s %s, want %s", name, other, is, version)
		}
	}
	if !bytes.Equal(files["package/LICENSE"], licence) || len(files["package/dist/index.d.ts"]) == 0 || len(files["package/README.md"]) == 0 {
		t.Errorf("%s lacks its licence, its types or its README: %q", name, slices.Sorted(maps.Keys(files)))
	}
}

// checkWheel checks that the Python package says this version, and has its contract in it.
func checkWheel(t *testing.T, path, version string) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	f, err := z.Open("fanoutd-" + version + ".dist-info/METADATA")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\nVersion: "+version+"\n") {
		t.Errorf("the wheel says:\n%.500s", text)
	}
	if !slices.ContainsFunc(z.File, func(f *zip.File) bool { return f.Name == "fanoutd/v1/fanout.binpb" }) {
		t.Error("the wheel has no contract in it")
	}
}
