package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The command gives the files of the contract, which need no others but Google's own.
func TestProto(t *testing.T) {
	want, err := os.ReadFile("../../proto/fanout/v1/emitter.proto")
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"proto"}, nil, &out, &errs); code != exitOK || !strings.Contains(out.String(), "// fanout/v1/emitter.proto\n\n"+string(want)) {
		t.Errorf("got %d, %d bytes, %q", code, out.Len(), &errs)
	}
	dir := filepath.Join(t.TempDir(), "new", "folder")
	out.Reset()
	if code := run(t.Context(), []string{"proto", "--out", dir}, nil, &out, &errs); code != exitOK || out.Len() > 0 {
		t.Fatalf("got %d, %q", code, &errs)
	}
	got, err := os.ReadFile(filepath.Join(dir, "fanout", "v1", "emitter.proto"))
	if err != nil || string(got) != string(want) {
		t.Errorf("the file is another one: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "fanout", "*", "*", "*.proto"))
	more, _ := filepath.Glob(filepath.Join(dir, "fanout", "*", "*.proto"))
	files = append(files, more...)
	if err != nil || len(files) < 7 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			name, isImport := strings.CutPrefix(strings.TrimSuffix(line, "\";\n"), `import "`)
			if !isImport || strings.HasPrefix(name, "google/protobuf/") {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if code := run(t.Context(), []string{"proto", "--out", filepath.Join(dir, "fanout", "v1", "emitter.proto")}, nil, &out, &errs); code != exitFailed {
		t.Errorf("a file in place of the folder: got %d", code)
	}
	if code := run(t.Context(), []string{"proto", "there"}, nil, &out, &errs); code != exitSettings {
		t.Errorf("another word: got %d", code)
	}
}
