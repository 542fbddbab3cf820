package control

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// TestEveryReasonHasACause reads the source for the constants Reason…: a change that adds
// one has to say what programs are to make of it.
func TestEveryReasonHasACause(t *testing.T) {
	found := map[string]bool{}
	for _, dir := range []string{"../sio", "../sio/engineio", "../dispatch"} {
		for name, reason := range reasonsIn(t, dir) {
			found[reason] = true
			if causes[reason] == fanoutv1.Event_NONE {
				t.Errorf("%s of %s, %q, has no cause", name, dir, reason)
			}
		}
	}
	for reason := range causes {
		if !found[reason] {
			t.Errorf("nothing ends for the reason %q", reason)
		}
	}
	for _, e := range Ends {
		if e.When == "" {
			t.Errorf("%q is not explained", e.Reason)
		}
	}
	if len(found) < 15 || len(causes) != len(Ends) {
		t.Errorf("only %d reasons were found", len(found))
	}
	for reason, want := range map[string]fanoutv1.Event_Cause{
		"": fanoutv1.Event_NONE, "nobody knows it": fanoutv1.Event_OTHER, "replaced": fanoutv1.Event_REPLACED,
	} {
		if got := toCause(reason); got != want {
			t.Errorf("%q: %v, want %v", reason, got, want)
		}
	}
}

// Each reason is counted from 0, before anything has ended for it.
func TestEveryReasonIsCountedFrom0(t *testing.T) {
	server, err := sio.NewServer(sio.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown(t.Context())
	stats := server.Stats()
	for _, dir := range []string{"../sio", "../sio/engineio"} {
		for name, reason := range reasonsIn(t, dir) {
			if _, counted := stats.Ended[reason]; !counted {
				t.Errorf("no ends of connections are counted for %s, %q", name, reason)
			}
			if _, counted := stats.Engine.Closed[reason]; !counted && dir == "../sio/engineio" {
				t.Errorf("no ends of sessions are counted for %s, %q", name, reason)
			}
		}
	}
}

// reasonsIn returns the string constants of a package whose names begin with Reason.
func reasonsIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(fs.ErrNotExist, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Reason") || len(spec.Values) != 1 {
				return true
			}
			if text, ok := spec.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
				if all[spec.Names[0].Name], err = strconv.Unquote(text.Value); err != nil {
					t.Fatal(err)
				}
			}
			return true
		})
	}
	return all
}
