package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/errors.md is what the code declares, and what links to it finds its place.
func TestErrorsDocs(t *testing.T) {
	const path = "../../docs/errors.md"
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want, stderr bytes.Buffer
	if code := run(t.Context(), []string{"errors"}, nil, &want, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is stale: run \"make generate-docs\" and commit the result", path)
	}
	api, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`errors\.md#([a-z_]+)`).FindAllStringSubmatch(string(api), -1) {
		if !strings.Contains(want.String(), "\n### "+strings.ToUpper(link[1])+"\n") {
			t.Errorf("docs/api.md leads to %s, which is no reason", link[1])
		}
	}
	for _, link := range regexp.MustCompile(`\]\(api\.md#([a-z]+)\)`).FindAllStringSubmatch(want.String(), -1) {
		if !strings.Contains(strings.ReplaceAll(strings.ToLower(string(api)), ".", ""), "# "+link[1]+"\n") {
			t.Errorf("docs/errors.md leads to %s of docs/api.md, which is not there", link[1])
		}
	}
	if code := run(t.Context(), []string{"errors", "--demo"}, nil, &want, &stderr); code != exitSettings {
		t.Errorf("with something behind it: exit code %d", code)
	}
}

// An ErrorInfo is made by the table of reasons alone, what is told by a Refusal is in the
// table, each refusal of Engine.IO and each exit code as well.
func TestErrorsAreDeclared(t *testing.T) {
	told := map[string]bool{ // messages by the name of their constant; or decided elsewhere
		"MessageInvalidNamespace": true, "MessageTooManyNamespaces": true, "MessageBlocked": true, "MessageTryAgain": true,
		"MessageRefused": true, "MessageUnknownParser": true, "AuthTooLarge": true, "admission.NotAuthorized": true, "NotAuthorized": true,
		"m.GetMessage()": true, "v.Message": true, "string(e.Code)": true,
	}
	var declared, exits []string
	walk := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if strings.HasPrefix(name.Name, "exit") && strings.HasSuffix(path, "main.go") {
						exits = append(exits, name.Name)
					}
					if i < len(n.Values) && isRefusal(n.Values[i]) {
						declared = append(declared, name.Name)
					}
				}
			case *ast.CompositeLit:
				if n.Type == nil {
					return true
				}
				of := types.ExprString(n.Type)
				if strings.HasSuffix(of, "ErrorInfo") && filepath.Base(path) != "reasons.go" {
					t.Errorf("%s makes an ErrorInfo by itself, beside the table of reasons", path)
				}
				if of != "Refusal" && of != "sio.Refusal" || strings.Contains(path, "engineio") {
					return true
				}
				for _, element := range n.Elts {
					pair, keyed := element.(*ast.KeyValueExpr)
					if !keyed || types.ExprString(pair.Key) != "Message" {
						continue
					}
					if message := types.ExprString(pair.Value); !told[message] {
						t.Errorf("%s tells clients %s, which no table has", path, message)
					}
				}
			}
			return true
		})
		return nil
	}
	for _, dir := range []string{"../../internal", "."} {
		if err := filepath.WalkDir(dir, walk); err != nil {
			t.Fatal(err)
		}
	}
	if len(exits) != len(exitCodes) {
		t.Errorf("exit codes are %q, and %d are explained", exits, len(exitCodes))
	}
	source, err := os.ReadFile("../../internal/sio/engineio/refusal.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range declared {
		if !strings.Contains(string(source), "\t\t{"+name+", \"") {
			t.Errorf("the refusal %s is not explained", name)
		}
	}
	if len(declared) < 10 {
		t.Errorf("only %q were found", declared)
	}
}

// isRefusal reports whether an expression is a protocolError of engineio.
func isRefusal(e ast.Expr) bool {
	made, ok := e.(*ast.CompositeLit)
	return ok && made.Type != nil && types.ExprString(made.Type) == "protocolError"
}
