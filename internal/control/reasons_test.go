package control

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// Each reason has a row of its own, with words, makes an error that says it, is sent by
// something, and has a code that is explained.
func TestReasons(t *testing.T) {
	source := map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source[file] = string(text)
		if !strings.HasSuffix(file, "_test.go") && file != "reasons.go" {
			all.Write(text)
		}
	}
	seen := map[string]bool{}
	for r := range reasonCount {
		row := reasonRows[r]
		if row.Name == "" || row.When == "" || row.Do == "" || seen[row.Name] {
			t.Errorf("reason %d is %+v", r, row)
		}
		seen[row.Name] = true
		if !slices.ContainsFunc(Codes(), func(c Code) bool { return c.Code == row.Code && c.HTTP > 0 }) {
			t.Errorf("%s has the code %v, which is not explained", row.Name, row.Code)
		}
		values := row.Metadata // as good as any
		st := status.Convert(r.err("words", values...))
		info, ok := st.Details()[0].(*errdetails.ErrorInfo)
		if !ok || st.Code() != row.Code || info.GetReason() != row.Name || info.GetDomain() != "fanoutd" || len(info.GetMetadata()) != len(values) {
			t.Errorf("%s is sent as %v, %v", row.Name, st, info)
		}
	}
	for _, name := range regexp.MustCompile(`(?m)^\t(\w+): \{$`).FindAllStringSubmatch(source["reasons.go"], -1) {
		if !regexp.MustCompile(`\b` + name[1] + `\.err\(`).MatchString(all.String()) {
			t.Errorf("nothing is refused for %s", name[1])
		}
	}
}
