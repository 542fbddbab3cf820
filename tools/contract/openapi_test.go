package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
)

// What is committed is valid, and has every RPC that is no gRPC's alone, with words for
// all that there is.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../proto/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("%s: %s", p.Message, p.Reason)
			for _, s := range p.SchemaValidationErrors {
				t.Errorf("  %s: %s", s.FieldPath, s.Reason)
			}
		}
	}

	var document struct {
		OpenAPI string
		Paths   map[string]struct {
			Post struct{ Summary, Description string }
		}
		Components struct {
			Schemas map[string]struct {
				Description string
				Properties  map[string]map[string]any
			}
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1.") {
		t.Errorf("it is OpenAPI %s", document.OpenAPI)
	}
	var want []string
	for _, file := range []string{"admin", "emitter", "event", "registry"} {
		source, err := os.ReadFile("../../proto/fanout/v1/" + file + ".proto")
		if err != nil {
			t.Fatal(err)
		}
		service := regexp.MustCompile(`(?m)^service (\w+)`).FindSubmatch(source)[1]
		for _, rpc := range regexp.MustCompile(`(?m)^  rpc (\w+)\((stream )?`).FindAllSubmatch(source, -1) {
			if len(rpc[2]) == 0 {
				want = append(want, "/fanout.v1."+string(service)+"/"+string(rpc[1]))
			}
		}
	}
	var got []string
	for path, item := range document.Paths {
		if strings.HasPrefix(path, "/fanout.") {
			got = append(got, path)
			if item.Post.Summary == "" || !strings.Contains(item.Post.Description, "\n\nA key needs the scope `") && !strings.HasSuffix(path, "/Batch") {
				t.Errorf("%s: %q does not say what it does, and what it takes", path, item.Post.Description)
			}
		}
	}
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, name := range slices.Sorted(maps.Keys(document.Components.Schemas)) {
		s := document.Components.Schemas[name]
		if name == "Error" {
			continue
		}
		if s.Description == "" {
			t.Errorf("%s has no words", name)
		}
		for field, schema := range s.Properties {
			if schema["description"] == nil {
				t.Errorf("%s.%s has no words", name, field)
			}
		}
	}
}
