// Package internal_test holds what concerns all packages below internal/.
package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLocksAreDocumented: LOCKS.md has a row for each mutex that a struct of the
// daemon has, and for none that is not there.
func TestLocksAreDocumented(t *testing.T) {
	page, err := os.ReadFile("LOCKS.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, row[1])
	}
	found := locks(t)
	if len(found) == 0 {
		t.Fatal("no mutex was found at all")
	}
	for _, l := range found {
		if !slices.Contains(documented, l) {
			t.Errorf("LOCKS.md does not name %s", l)
		}
	}
	for _, l := range documented {
		if !slices.Contains(found, l) {
			t.Errorf("LOCKS.md names %s, which is not there", l)
		}
	}
}

// locks returns the mutexes of all structs, as package.type.field.
func locks(t *testing.T) []string {
	var found []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if name := file.Name.Name; strings.HasSuffix(name, "test") {
			return nil // support of tests
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					if isMutex(f.Type) {
						for _, name := range f.Names {
							found = append(found, file.Name.Name+"."+spec.Name.Name+"."+name.Name)
						}
					}
				}
			}
			return false
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func isMutex(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "sync" && (s.Sel.Name == "Mutex" || s.Sel.Name == "RWMutex")
}
