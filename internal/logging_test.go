package internal

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logMethods are the methods of *slog.Logger that take attributes, with the place of the
// first.
var logMethods = map[string]int{
	"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "DebugContext": 2, "InfoContext": 2, "WarnContext": 2, "ErrorContext": 2, "Log": 3, "With": 0,
	"audit": 2, // of control.Admin
}

// attributes are the names of attributes in the source of the daemon, each with where it is
// used. Names are literals: of calls of a logger, and of slices of any that are built for one.
func attributes(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{"../cmd/fanoutd", "."} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				for _, name := range namesIn(n) {
					all[name] = set.Position(n.Pos()).String()
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// namesIn returns the names of attributes that stand in n itself.
func namesIn(n ast.Node) (names []string) {
	var pairs []ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		method, ok := n.Fun.(*ast.SelectorExpr)
		if ok && (isLogger(method.X) || method.Sel.Name == "audit") {
			if first, ok := logMethods[method.Sel.Name]; ok && len(n.Args) > first {
				pairs = n.Args[first:]
			}
		}
		if fun, ok := n.Fun.(*ast.Ident); ok && fun.Name == "append" && n.Ellipsis == token.NoPos && len(n.Args) > 2 {
			if to, ok := n.Args[0].(*ast.Ident); ok && to.Name == "args" {
				pairs = n.Args[1:]
			}
		}
	case *ast.CompositeLit:
		if of, ok := n.Type.(*ast.ArrayType); ok && fmt.Sprint(of.Elt) == "any" {
			pairs = n.Elts
		}
	}
	if len(pairs) == 1 { // a slice that is built elsewhere
		return nil
	}
	for i := 0; i < len(pairs); i += 2 {
		if text, ok := pairs[i].(*ast.BasicLit); ok && text.Kind == token.STRING {
			name, _ := strconv.Unquote(text.Value)
			names = append(names, name)
		}
	}
	return names
}

// isLogger reports whether an expression is a logger by its name.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "log" || x.Name == "logger" || x.Name == "to"
	case *ast.SelectorExpr:
		return x.Sel.Name == "log" || x.Sel.Name == "Logger" || x.Sel.Name == "logger"
	case *ast.CallExpr: // newLogger(…)
		fun, ok := x.Fun.(*ast.Ident)
		return ok && fun.Name == "newLogger"
	}
	return false
}

// Every attribute of a log line is one of the table in docs/logging.md, and every one of that
// is used. Names are in snake case; those that slog gives to a line are not used again.
func TestLogAttributes(t *testing.T) {
	const path = "../docs/logging.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n## Attributes\n")
	if !ok {
		t.Fatalf("%s has no section for attributes", path)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		name := row[1]
		if documented[name] {
			t.Errorf("%s has %s twice", path, name)
		}
		documented[name] = true
	}
	used := attributes(t)
	if len(used) < 40 {
		t.Fatalf("only %d attributes are used", len(used))
	}
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if !documented[name] {
			t.Errorf("%s: the attribute %s is not in %s: use one that is, or add it", used[name], name, path)
		}
		if !snake.MatchString(name) || slices.Contains([]string{"time", "level", "msg", "source"}, name) {
			t.Errorf("%s: %s is no name for an attribute", used[name], name)
		}
	}
	for name := range documented {
		if used[name] == "" {
			t.Errorf("%s has %s, which no line has", path, name)
		}
	}
}
